// Command step makes a key in a vault with the library that step-ca keeps
// its keys with, signs a certificate with it, and checks both against the
// public key that the vault gives out.
//
//	step VAULT
package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"go.step.sm/crypto/kms/apiv1"
	"go.step.sm/crypto/kms/azurekms"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(vault string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	kms, err := azurekms.New(ctx, apiv1.Options{URI: "azurekms:vault=" + vault})
	if err != nil {
		return err
	}
	for name, algorithm := range map[string]apiv1.SignatureAlgorithm{"step-p256": apiv1.ECDSAWithSHA256, "step-p384": apiv1.ECDSAWithSHA384,
		"step-p521": apiv1.ECDSAWithSHA512, "step-rsa": apiv1.SHA256WithRSA} {
		if err := certify(kms, "azurekms:vault="+vault+";name="+name, algorithm); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// certify makes a key and a certificate of it.
func certify(kms *azurekms.KeyVault, name string, algorithm apiv1.SignatureAlgorithm) error {
	made, err := kms.CreateKey(&apiv1.CreateKeyRequest{Name: name, SignatureAlgorithm: algorithm, Bits: map[bool]int{true: 2048}[algorithm == apiv1.SHA256WithRSA]})
	if err != nil {
		return err
	}
	public, err := kms.GetPublicKey(&apiv1.GetPublicKeyRequest{Name: made.Name})
	if err != nil {
		return err
	}
	signer, err := kms.CreateSigner(&made.CreateSignerRequest)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "step"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, signer)
	if err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if err := certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
		return err
	}
	if algorithm != apiv1.SHA256WithRSA {
		return nil
	}
	sum := sha256.Sum256([]byte("x"))
	signature, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return err
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return errors.New("the public key is not RSA")
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
}
