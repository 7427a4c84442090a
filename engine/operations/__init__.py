"""Operations on what other jobs read and write: how far it is, whether it is sound; nothing is computed."""
