// A picture in its frame. Links expire after some minutes: a picture whose link has expired asks the page for
// a new link instead of showing as broken.
import { el, icon } from './dom.js';

export const EXPIRED = 'picture-expired';

const WORDS = { failed: 'Failed', processing: 'Processing', pending: 'Pending' };

const pathOf = (url) => url?.split('?')[0];

// Returns a function that shows an image in `frame`: its picture, or its status if there is none.
export function makePicture(frame, { alt }) {
  let shown = { url: null, status: null };
  let isLoaded = false;
  let renewals = 0;

  const onLoad = () => {
    isLoaded = true;
    renewals = 0;
    frame.dataset.state = 'shown';
  };

  const onError = () => {
    frame.dataset.state = renewals ? 'unavailable' : 'expired';
    if (renewals) frame.replaceChildren(empty('failed', 'Picture not available'));
    frame.dispatchEvent(new Event(EXPIRED, { bubbles: true }));
    renewals += 1;
  };

  const showPicture = (url) => {
    isLoaded = false;
    frame.dataset.state = 'loading';
    const picture = el('img', { alt, loading: 'lazy', decoding: 'async', width: 4, height: 5 });
    picture.addEventListener('load', onLoad);
    picture.addEventListener('error', onError);
    picture.src = url;
    frame.replaceChildren(picture);
  };

  return function update({ url, status }) {
    const isSame = pathOf(url) === pathOf(shown.url) && status === shown.status;
    const isTried = url === shown.url && frame.dataset.state !== 'expired';
    if (isSame && (isLoaded || isTried)) return;
    shown = { url, status };
    if (url) showPicture(url);
    else {
      frame.dataset.state = 'empty';
      frame.replaceChildren(empty(status === 'failed' ? 'failed' : 'waiting', WORDS[status] ?? status ?? ''));
    }
  };
}

const empty = (iconName, word) =>
  el('span', { className: `empty is-${iconName}` }, icon(iconName), el('span', {}, word));
