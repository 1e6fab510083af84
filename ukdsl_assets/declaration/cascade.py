"""The declaration of a whole cascade, with the one check of what its keys say together."""

from pydantic import model_validator

from ukdsl_assets.declaration.references import wrong_references
from ukdsl_assets.declaration.unchecked import UncheckedCascade
from ukdsl_assets.declaration.wrong_keys import WrongDeclarationError


class Cascade(UncheckedCascade):
    """A whole cascade whose keys also go together: every name refers to something, and nothing stands twice.

    Raises:
        WrongDeclarationError: at construction, each problem by its key; Pydantic wraps it in a ValidationError.
    """

    @model_validator(mode="after")
    def _references_hold(self) -> "Cascade":
        if problems := wrong_references(self):
            raise WrongDeclarationError(problems)
        return self
