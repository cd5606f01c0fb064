// Reads server-sent events from the body of a response: the HTML standard, section 9.2.6.
//
// EventSource cannot send a token in a header.

// Yields events as `{ type, data, retry }`; `retry` is the last one sent, in milliseconds, or null.
//
// `onBytes` is called whenever anything arrives, which may be a comment.
export async function* readEvents(body, { onBytes = () => {} } = {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = makeParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    yield* parse(value);
  }
}

// Returns a function that takes the next piece of the text, and yields the events that it completes.
function makeParser() {
  let rest = '';
  let mayContinueLineEnd = false;
  let retry = null;
  let type = '';
  let data = [];

  const setField = (line) => {
    const [, name, value] = /^([^:]*):? ?(.*)$/su.exec(line);
    if (name === 'event') type = value;
    else if (name === 'data') data.push(value);
    else if (name === 'retry' && /^\d+$/.test(value)) retry = Number(value);
  };

  return function* parse(text) {
    // The second half of a CR LF whose first half ended the last piece.
    const piece = mayContinueLineEnd ? text.replace(/^\n/, '') : text;
    mayContinueLineEnd = text.endsWith('\r');
    const lines = (rest + piece).split(/\r\n|\r|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line !== '') {
        setField(line);
        continue;
      }
      if (data.length) yield { type: type || 'message', data: data.join('\n'), retry };
      type = '';
      data = [];
    }
  };
}
