"""Representational similarity of two languages: CKA, SVCCA, RSA of mean-pooled states; its job."""
