#!/usr/bin/env python3
"""testssl.sh against a listener with its defaults: every finding above LOW.

    load-tests/operations/tls.py [--report FILE]

Exit status 1 when there is one besides those that a certificate of our own authority must have, or when SSLv3, TLS 1.0 or 1.1 is offered.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from ground import Ground

# What testssl.sh says of any certificate that no public authority issued.
OF_THE_CERTIFICATE = ("cert_chain_of_trust", "cert_trust", "cert_notAfter", "cert_expirationStatus", "cert_revocation", "OCSP_stapling", "DNS_CAArecord",
                      "cert_crlDistributionPoints", "cert_ocspURL", "overall_grade", "grade_cap_reason", "certificate_transparency")

# What testssl.sh lacks itself on this machine.
OF_THE_TOOL = ("engine_problem",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=pathlib.Path)
    options = parser.parse_args()
    if shutil.which("testssl") is None:
        sys.exit("testssl.sh is not installed: deploy/install-dependencies.sh load")
    ground = Ground()
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        subprocess.run(["testssl", "--quiet", "--warnings", "batch", "--color", "0", "--ip", "127.0.0.1", "--jsonfile", str(report),
                        f"localhost:{ground.stand.tls_port}"], stdout=subprocess.DEVNULL, check=False)
        findings = json.loads(report.read_text())
        if options.report:
            shutil.copy(report, options.report)
    severe = [each for each in findings if each["severity"] not in ("OK", "INFO", "LOW", "DEBUG") and each["id"] not in OF_THE_TOOL]
    bad = [each for each in severe if not each["id"].split(" ")[0].startswith(OF_THE_CERTIFICATE)]
    for each in severe:
        print(f"{'FINDING' if each in bad else 'expected'}: {each['severity']} {each['id']}: {each['finding']}")
    old = {each["id"]: each["finding"] for each in findings if each["id"] in ("SSLv2", "SSLv3", "TLS1", "TLS1_1")}
    print(f"{len(findings)} findings, {len(bad)} above LOW besides the certificate's; old protocols: {old}")
    sys.exit(1 if bad or any("not offered" not in text for text in old.values()) or len(old) < 4 else 0)


if __name__ == "__main__":
    main()
