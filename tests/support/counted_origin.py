"""A service as a process of its own, that can be killed, stopped and made faulty: `python3 counted_origin.py NAME PORT FOLDER`.

FOLDER/NAME.mode says what it does with the next request: `good`, `slow`, `garbage`, `truncate`, `silent` or `drop`. FOLDER/NAME.posts has a
line for each POST whose whole body arrived, written before anything is answered.
"""
import asyncio
import pathlib
import sys

BODY_REPEATS = 200


async def serve(name: str, port: int, folder: pathlib.Path) -> None:
    mode_file, posts = folder / f"{name}.mode", open(folder / f"{name}.posts", "a", buffering=1)
    body = f"{name}\n".encode() * BODY_REPEATS

    async def answer(writer: asyncio.StreamWriter, mode: str) -> bool:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        if mode == "slow":
            await asyncio.sleep(0.3)
        elif mode == "silent":
            await asyncio.sleep(3600)
        elif mode == "drop":
            return False
        elif mode == "garbage":
            writer.write(b"\x16\x03\x01 garbage \x00\r\n\r\n")
            return False
        elif mode == "truncate":
            writer.write(head + body[:len(body) // 2])
            return False
        writer.write(head + body)
        await writer.drain()
        return True

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ")
                sizes = [int(line.split(":")[1]) for line in lines[1:] if line.lower().startswith("content-length:")]
                content = await reader.readexactly(sizes[0]) if sizes else b""
                if method == "POST":
                    posts.write(content.decode() + "\n")
                mode = mode_file.read_text().strip()
                if not await answer(writer, mode):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])))
