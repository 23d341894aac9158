"""Search of loss weights and settings by a physical metric on validation scenes, and proof of what was found."""
