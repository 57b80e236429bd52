"""``python -m local_stack.contract documents`` writes the documents, ``… release`` freezes the contract's version."""

import argparse
import sys

from local_stack.contract import documents, releases

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local_stack.contract", description=__doc__)
    parser.add_argument("action", choices=["documents", "release"])
    if parser.parse_args().action == "documents":
        documents.write()
    else:
        try:
            print(releases.release(releases.current_version()))
        except releases.ReleaseError as error:
            sys.exit(str(error))
