"""`python -m azure_batch_emulator`, the same as the command `azure-batch-emulator`."""

import sys

from .entry import main

sys.exit(main())
