import sys

from capsules.resolve_params.stage import main

sys.exit(main())
