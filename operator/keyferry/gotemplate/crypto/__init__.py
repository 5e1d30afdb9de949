"""Keys, certificates and archives: what the functions of cryptography are made of."""
