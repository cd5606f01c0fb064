"""The floor: `python -m tests.benchmarks.floor --port N --answers DIR`.

The least that an ASGI app under uvicorn can do with a request: it reads the body and sends bytes that it had
before. Each file of the folder is the answer at the path of its name.
"""

import argparse
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


def constant_bytes(answers: dict[str, bytes], content_type: str) -> ASGIApp:
    starts = {
        path: {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", content_type.encode("latin-1")),
                (b"content-length", b"%d" % len(answer)),
            ],
        }
        for path, answer in answers.items()
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        path = scope["path"]
        await send(starts[path])
        await send({"type": "http.response.body", "body": answers[path]})

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--content-type", required=True)
    chosen = parser.parse_args()
    answers = {f"/{file.name}": file.read_bytes() for file in chosen.answers.iterdir()}
    app = constant_bytes({"/readyz": b"{}", **answers}, chosen.content_type)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=chosen.port,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
