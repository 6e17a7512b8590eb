"""The SMTP server of the tests: keeps every mail as files, and fails where it is told to.

    server.py plain|starttls|tls FOLDER CERTIFICATE

What it does to a mail is written in the recipient's local part:

    grey...      451 for the first time, accepted from then on
    tmp...       451 for ever             perm...    550
    busy...      421, and the connection ends
    cut...       the connection ends in the middle of DATA
    lost...      the mail is kept, and the connection ends before the answer
    full...      552 after DATA           later...   452 after DATA
    slow...      the answer to RCPT takes longer than any test waits
    mute...      the mail is kept, the answer to DATA takes longer than any test waits
    flood...     the answer to RCPT is one line without end

A sender "nobody..." is refused with 550. With starttls and tls, clients have to sign in as "worker"
with the password "testkit-smtp-password". Each mail becomes FOLDER/NUMBER.json, what Python's own
mail parser read from it, with its attachments beside it.
"""

import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

USER, PASSWORD = b"worker", b"testkit-smtp-password"
LONGER_THAN_ANY_TEST = 3600
BYTES_MAX = 32 * 1024 * 1024


def sign_in(server, session, envelope, mechanism, data):
    ok = (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=ok, handled=ok)


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.seen = set()
        self.number = 0

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.8 this sender may not send"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("grey") and address not in self.seen:
            self.seen.add(address)
            return "451 4.7.1 greylisted, come back later"
        if address.startswith("tmp"):
            return "451 4.3.0 not now"
        if address.startswith("perm"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy"):
            await server.push("421 4.3.2 going down")
            server.transport.close()
            return "421 4.3.2 going down"
        if address.startswith("slow"):
            await asyncio.sleep(LONGER_THAN_ANY_TEST)
        while address.startswith("flood") and not server.transport.is_closing():
            server._writer.write(b"a" * 65536)
            await server._writer.drain()
            await asyncio.sleep(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        address = envelope.rcpt_tos[0]
        if address.startswith("full"):
            return "552 5.2.2 mailbox full"
        if address.startswith("later"):
            return "452 4.3.1 no space"
        self.keep(server, session, envelope)
        if address.startswith("lost"):
            server.transport.close()
            await asyncio.sleep(LONGER_THAN_ANY_TEST)
        if address.startswith("mute"):
            await asyncio.sleep(LONGER_THAN_ANY_TEST)
        return f"250 2.0.0 kept as {self.number}"

    def keep(self, server, session, envelope):
        self.number += 1
        raw = envelope.original_content
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        text, html, parts = None, None, []
        for at, part in enumerate(parsed.walk()):
            if part.is_multipart():
                continue
            kind, disposition = part.get_content_type(), part.get_content_disposition()
            if disposition is None and kind == "text/plain":
                text = part.get_content().replace("\r\n", "\n")
            elif disposition is None and kind == "text/html":
                html = part.get_content().replace("\r\n", "\n")
            else:
                file = f"{self.number}.{at}"
                with open(os.path.join(self.folder, file), "wb") as out:
                    out.write(part.get_payload(decode=True))
                parts.append({
                    "content_type": kind,
                    "disposition": disposition or "",
                    "name": part.get_filename() or "",
                    "content_id": part.get("Content-ID", ""),
                    "file": file,
                })
        kept = {
            "connection": session.peer[1],
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "signed_in": bool(session.authenticated),
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in parsed.items()],
            "structure": [part.get_content_type() for part in parsed.walk()],
            "defects": [repr(defect) for part in parsed.walk() for defect in part.defects],
            "longest_line_bytes": max(len(line) for line in raw.split(b"\r\n")),
            "text": text,
            "html": html,
            "parts": parts,
        }
        name = os.path.join(self.folder, f"{self.number}.json")
        with open(name + ".part", "w", encoding="utf-8") as out:
            json.dump(kept, out)
        os.rename(name + ".part", name)


class Server(SMTP):
    """Ends the connection in the middle of DATA for those who ask for it."""

    async def smtp_DATA(self, arg):
        if self.envelope.rcpt_tos and self.envelope.rcpt_tos[0].startswith("cut"):
            await self.push("354 go ahead")
            await self._reader.readline()
            self.transport.close()
            return
        await super().smtp_DATA(arg)


async def main():
    security, folder, certificate = sys.argv[1:]
    tls = None
    if security != "plain":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate + "/server.pem", certificate + "/server.key")
    handler = Handler(folder)

    def connected():
        options = {}
        if security != "plain":
            options = {"authenticator": sign_in, "auth_required": True}
        if security == "starttls":
            options |= {"tls_context": tls, "require_starttls": True}
        if security == "tls":
            # The connection is encrypted before the first word, which this library cannot see.
            options |= {"auth_require_tls": False}
        return Server(handler, hostname="mail.test", enable_SMTPUTF8=True,
                      data_size_limit=BYTES_MAX, timeout=60, **options)

    loop = asyncio.get_running_loop()
    wrap = tls if security == "tls" else None
    listening = await loop.create_server(connected, "127.0.0.1", 0, ssl=wrap)
    print("listening on", listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


asyncio.run(main())
