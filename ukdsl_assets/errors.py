"""What can go wrong, by name. Every message says what, where, seen, expected, and the fix."""


class UkdslError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""


class DeclarationError(UkdslError):
    """A cascade's YAML is wrong."""


class SourceError(UkdslError):
    """Logs are missing or cannot be read."""


class ContractError(UkdslError):
    """Logs were read but break the contract."""


class SqlModelError(UkdslError):
    """A file of dbt_like_sql is wrong or failed to run."""


class LakeError(UkdslError):
    """A table or checkpoint could not be published or read."""


class TrainingError(UkdslError):
    """A model cannot be trained or has diverged."""
