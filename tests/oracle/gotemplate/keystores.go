package main

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"software.sslmate.com/src/go-pkcs12"
)

const certificateType = "CERTIFICATE"

func encodePEM(kind string, blocks ...[]byte) string {
	var text strings.Builder
	for _, block := range blocks {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: block}))
	}
	return text.String()
}

// fromFirstBlock cuts what stands before the first block.
func fromFirstBlock(text string) []byte {
	if at := strings.Index(text, "-----BEGIN"); at > 0 {
		text = text[at:]
	}
	return []byte(text)
}

func filterPEM(kind, text string) (string, error) {
	var kept []byte
	rest := fromFirstBlock(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if !strings.EqualFold(kind, block.Type) {
			continue
		}
		var encoded bytes.Buffer
		if err := pem.Encode(&encoded, block); err != nil {
			return "", err
		}
		kept = append(kept, encoded.Bytes()...)
	}
	if len(kept) == 0 && len(rest) > 0 {
		return "", errors.New("error filtering pem: found junk")
	}
	return string(kept), nil
}

func certSANs(text string) ([]string, error) {
	block, _ := pem.Decode(fromFirstBlock(text))
	if block == nil {
		return nil, errors.New("failed to decode PEM block")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("failed to parse certificate: %w", err)
	}
	names := append([]string{}, c.DNSNames...)
	for _, address := range c.IPAddresses {
		names = append(names, address.String())
	}
	names = append(names, c.EmailAddresses...)
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	return names, nil
}

// chainOf gives the certificates from the leaf to the root, by their key identifiers.
func chainOf(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	issuer := make([]int, len(all))
	issues := make([]bool, len(all))
	for i, c := range all {
		issuer[i] = -1
		for j, other := range all {
			if i != j && bytes.Equal(c.AuthorityKeyId, other.SubjectKeyId) {
				issuer[i], issues[j] = j, true
				break
			}
		}
	}
	leaf := -1
	for i := range all {
		switch {
		case issues[i]:
		case leaf >= 0:
			return nil, errors.New("found multiple leaf or disjunct certificates")
		default:
			leaf = i
		}
	}
	if leaf < 0 {
		return nil, errors.New("no leaf certificate found")
	}
	var chain []*x509.Certificate
	for at := leaf; at >= 0; at = issuer[at] {
		if len(chain) == len(all) {
			return nil, errors.New("constructing chain resulted in cycle")
		}
		chain = append(chain, all[at])
	}
	return chain, nil
}

func isRoot(c *x509.Certificate) bool {
	return c.AuthorityKeyId == nil || bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId)
}

func filterCertChain(kind, text string) (string, error) {
	chain, err := chainOf([]byte(text))
	if err != nil {
		return "", err
	}
	first, last := chain[0], chain[len(chain)-1]
	var kept [][]byte
	switch {
	case kind == "leaf" && !isRoot(first):
		kept = append(kept, first.Raw)
	case kind == "root" && isRoot(last):
		kept = append(kept, last.Raw)
	case kind == "intermediate":
		for _, c := range chain[1:] {
			if isRoot(c) {
				break
			}
			kept = append(kept, c.Raw)
		}
	}
	return encodePEM(certificateType, kept...), nil
}

func pkcs12Key(archive string) (string, error) { return pkcs12KeyPass("", archive) }

func pkcs12KeyPass(password, archive string) (string, error) {
	key, _, _, err := pkcs12.DecodeChain([]byte(archive), password)
	if err != nil {
		return "", fmt.Errorf("unable to decode pkcs12 with password: %s", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return encodePEM("PRIVATE KEY", der), nil
}

func pkcs12Cert(archive string) (string, error) { return pkcs12CertPass("", archive) }

func pkcs12CertPass(password, archive string) (string, error) {
	_, leaf, others, err := pkcs12.DecodeChain([]byte(archive), password)
	if err != nil {
		return "", fmt.Errorf("unable to decode pkcs12 certificate with password: %s", err)
	}
	raw := [][]byte{leaf.Raw}
	for _, c := range others {
		raw = append(raw, c.Raw)
	}
	asStored := encodePEM(certificateType, raw...)
	chain, err := chainOf([]byte(asStored))
	if err != nil {
		return asStored, nil
	}
	raw = nil
	for _, c := range chain {
		raw = append(raw, c.Raw)
	}
	return encodePEM(certificateType, raw...), nil
}

func privateKeyOf(der []byte) (crypto.PrivateKey, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("unable to parse private key type")
}

func pemToPKCS12(cert, key string) (string, error) { return pemToPKCS12Pass(cert, key, "") }

// pemToPKCS12Pass panics on text without a block, as the reference does: the engine makes an error of it.
func pemToPKCS12Pass(cert, key, password string) (string, error) {
	block, _ := pem.Decode([]byte(cert))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	return archive(leaf, nil, key, password)
}

func fullPEMToPKCS12(cert, key string) (string, error) { return fullPEMToPKCS12Pass(cert, key, "") }

func fullPEMToPKCS12Pass(cert, key, password string) (string, error) {
	block, rest := pem.Decode([]byte(cert))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	others, err := certificatesOf(rest)
	if err != nil {
		return "", err
	}
	return archive(leaf, others, key, password)
}

func archive(leaf *x509.Certificate, others []*x509.Certificate, key, password string) (string, error) {
	block, _ := pem.Decode([]byte(key))
	private, err := privateKeyOf(block.Bytes)
	if err != nil {
		return "", err
	}
	der, err := pkcs12.Modern.Encode(private, leaf, others, password)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

func certificatesOf(text []byte) ([]*x509.Certificate, error) {
	all := []*x509.Certificate{}
	for len(text) > 0 {
		block, rest := pem.Decode(text)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all, text = append(all, c), rest
	}
	return all, nil
}

func trustStoreToPKCS12(certs string) (string, error) { return trustStoreToPKCS12Pass(certs, "") }

func trustStoreToPKCS12Pass(certs, password string) (string, error) {
	all, err := certificatesOf([]byte(certs))
	if err != nil {
		return "", err
	}
	der, err := pkcs12.Modern.EncodeTrustStore(all, password)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

func rawKey(text string) (key interface{}, err error) {
	parsed, err := jwk.ParseKey([]byte(text))
	if err != nil {
		return nil, err
	}
	err = parsed.Raw(&key)
	return key, err
}

func jwkPublicKeyPEM(text string) (string, error) {
	key, err := rawKey(text)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	return encodePEM("PUBLIC KEY", der), nil
}

func jwkPrivateKeyPEM(text string) (string, error) {
	key, err := rawKey(text)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return encodePEM("PRIVATE KEY", der), nil
}

func rsaDecrypt(scheme, digest, ciphertext, key string) (string, error) {
	switch scheme {
	case "None":
		return ciphertext, nil
	case "RSA-OAEP":
	default:
		return "", fmt.Errorf("decryption scheme %v is not supported", scheme)
	}
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		return "", errors.New("failed to decode PEM block")
	}
	parsed, err := privateKeyOf(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("could not parse private key: %v", err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return "", errors.New("could not parse RSA private key")
	}
	var h hash.Hash
	switch digest {
	case "SHA1":
		h = sha1.New()
	case "SHA512":
		h = sha512.New()
	default:
		h = sha256.New()
	}
	plain, err := rsa.DecryptOAEP(h, nil, private, []byte(ciphertext), nil)
	if err != nil {
		return "", fmt.Errorf("error decrypting data with RSA: %v", err)
	}
	return string(plain), nil
}
