"""What an interrupted training is found by."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ukdsl_assets.lake.storage import to_json
from ukdsl_assets.learning.code_version import code_version


def training_fingerprint(read: Mapping[str, Any], name: str) -> str:
    """Hash of everything that a training depends on, 16 hexadecimal digits: what it reads, and the code.

    Args:
        read: declarations, data versions, and what it starts from, as JSON values.
        name: of what is trained, for messages.

    Raises:
        LakeError: JSON cannot hold a value.
    """
    return sha256(to_json({**read, "code": code_version()}, name)).hexdigest()[:16]
