package vault

import (
	"context"
	"strconv"
	"time"

	"postern/internal/seal"
	"postern/internal/store"
)

// Certificates is the certificates of one vault at one moment, made for a
// request like Secrets. A certificate is three objects; whatever happens to
// it happens to its key and its secret in the same transaction.
//
// A certificate that is asked for and not issued yet is an object without
// content and without a key and a secret, which is not enabled; it is hidden
// unless one asks for pending ones.
type Certificates struct {
	Terms Terms
	Space Space
	// Key seals what is stored, Backup what leaves in a backup blob.
	Key, Backup *seal.Key
	Now         time.Time
	// NewVersion makes 32 random lower-case hex digits.
	NewVersion func() string
}

// CertificateInput is a new version of a certificate, with the key and the
// secret that go with it. They have its attributes, and no tags.
type CertificateInput struct {
	// CER is the leaf in DER.
	CER []byte
	// Key is the key; its zero value is that of the pending operation.
	Key KeyContent
	// SecretValue is the certificate with its key as PKCS#12 in base64 or in
	// PEM, SecretContentType which of them.
	SecretValue, SecretContentType string
	// Policy is the policy in JSON; nil leaves the one there is.
	Policy []byte
	// Enabled is true when it is not known.
	Enabled            Flag
	NotBefore, Expires Stamp
	Tags               []Tag
	PreserveCertOrder  bool
}

// CertificatePatch is what a client changes of a version; what is not known
// or nil stays.
type CertificatePatch struct {
	Enabled            Flag
	NotBefore, Expires Stamp
	Tags               []Tag
	// Policy makes the new policy of the one there is, both in JSON; nil
	// leaves it. It may run more than once.
	Policy func(kept string) ([]byte, error)
}

// maxPolicy bounds the policy of a certificate.
const maxPolicy = 128 << 10

// CertificateItem is a certificate in a list.
type CertificateItem struct {
	Object  Object
	Content CertificateContent
}

// CertificatePage is one page of a list of certificates.
type CertificatePage struct {
	Certificates []CertificateItem
	// Next is the cursor of the next page; "" at the end.
	Next string
}

func (s *Certificates) of(kind string) *collection {
	return &collection{kind: kind, terms: s.Terms, space: s.Space, key: s.Key, now: s.Now, newVersion: s.NewVersion,
		linked: kind != kindCertificates}
}

// trio is the three collections of a certificate.
type trio struct{ certificates, keys, secrets *collection }

func (s *Certificates) trio() trio {
	return trio{s.of(kindCertificates), s.of(kindKeys), s.of(kindSecrets)}
}

// hollow reports whether a certificate was asked for and not issued yet.
func (c *collection) hollow(o *Object) bool {
	return c.kind == kindCertificates && o.Version.Value == ""
}

// Import makes a new version of a certificate that was made elsewhere, and
// the certificate when there is none (spec: ImportCertificate).
func (s *Certificates) Import(ctx context.Context, name string, in CertificateInput) (Object, CertificateContent, error) {
	if err := checkName(name); err != nil {
		return Object{}, CertificateContent{}, err
	}
	if err := in.check(); err != nil {
		return Object{}, CertificateContent{}, err
	}
	t, id := s.trio(), s.NewVersion()
	var made Object
	err := t.certificates.change(ctx, func(tx *store.Tx) (err error) {
		made, err = t.addIn(ctx, tx, name, "import", id, &in)
		return err
	})
	return certificateOf(made, err)
}

// certificateOf takes the content out of a certificate's object.
func certificateOf(o Object, err error) (Object, CertificateContent, error) {
	if err != nil || o.Version.Value == "" {
		return o, CertificateContent{}, err
	}
	content, err := decodeCertificate(o.Version.Value)
	o.Version.Value = ""
	return o, content, err
}

func (in *CertificateInput) check() error {
	switch {
	case len(in.CER) == 0:
		return &Invalid{"cer", "is missing"}
	case len(in.CER) > maxCER:
		return &Invalid{"cer", "is too large"}
	case len(in.SecretValue) > MaxValue:
		return &Invalid{"value", "is longer than " + strconv.Itoa(MaxValue) + " bytes"}
	}
	if err := in.Key.check(); err != nil {
		return err
	}
	return checkCertificate(in.SecretContentType, in.Tags, in.Policy)
}

func checkCertificate(contentType string, tags []Tag, policy []byte) error {
	if len(policy) > maxPolicy {
		return &Invalid{"policy", "is longer than " + strconv.Itoa(maxPolicy) + " bytes"}
	}
	return checkDescription(contentType, tags, MaxKeyTag)
}

// addIn makes a new version of the three.
func (t trio) addIn(ctx context.Context, tx *store.Tx, name, operation, id string, in *CertificateInput) (Object, error) {
	content := CertificateContent{CER: in.CER, PreserveCertOrder: in.PreserveCertOrder}
	t.certificates.pair = &in.Key
	v := Version{ID: id, Enabled: in.Enabled != No, NotBefore: in.NotBefore, Expires: in.Expires, ContentType: in.SecretContentType,
		Tags: in.Tags, Value: content.encode()}
	a := addition{operation: operation, version: v, inherit: follow}
	if in.Policy != nil {
		policy := string(in.Policy)
		a.policy = &policy
	}
	made, err := t.certificates.addIn(ctx, tx, name, a)
	if err != nil {
		return Object{}, err
	}
	v.Managed, v.Tags, v.Value = true, nil, in.SecretValue
	if _, err := t.secrets.addIn(ctx, tx, made.Name, addition{version: v, inherit: follow}); err != nil {
		return Object{}, err
	}
	v.ContentType, v.Value = "", in.Key.encode()
	if _, err := t.keys.addIn(ctx, tx, made.Name, addition{version: v}); err != nil {
		return Object{}, err
	}
	return made, nil
}

// follow notes the version before, unless that has no content (spec:
// SecretBundle, previousVersion).
func follow(old *Object, v *Version) error {
	if old != nil && old.Version.Value != "" {
		v.Previous = old.Version.ID
	}
	return nil
}

// Get reads a version with its content; "" is the latest (spec:
// GetCertificate). It works for one that is disabled or has expired: a
// certificate is public.
func (s *Certificates) Get(ctx context.Context, name, version string) (Object, CertificateContent, error) {
	return certificateOf(s.of(kindCertificates).get(ctx, name, version))
}

// PrivateKey reads the key that belongs to a version, for making a request
// for the next one with it; "" is the latest. NotFound where the name is that
// of a key of its own, which is not the certificate's to use.
func (s *Certificates) PrivateKey(ctx context.Context, name, version string) (KeyContent, error) {
	o, content, err := keyOf(s.of(kindKeys).get(ctx, name, version))
	if err == nil && !o.Version.Managed {
		return KeyContent{}, NotFound
	}
	return content, err
}

// Update changes the attributes and tags of a version, and the policy of the
// certificate; "" is the latest (spec: UpdateCertificate). The key and the
// secret mirror the attributes.
func (s *Certificates) Update(ctx context.Context, name, version string, p CertificatePatch) (Object, CertificateContent, error) {
	if err := checkCertificate("", p.Tags, nil); err != nil {
		return Object{}, CertificateContent{}, err
	}
	if p.Policy != nil && version == "" && p.Enabled == Unset && !p.NotBefore.Known && !p.Expires.Known && p.Tags == nil {
		return certificateOf(s.setPolicy(ctx, name, p.Policy))
	}
	t := s.trio()
	var made Object
	err := t.certificates.change(ctx, func(tx *store.Tx) (err error) {
		made, err = t.certificates.updateIn(ctx, tx, "update", name, version, func(o *Object) error {
			return t.patch(ctx, tx, o, &p)
		})
		return err
	})
	return certificateOf(made, err)
}

// patch changes a version of the three. One that is not issued yet has no
// dates, and stays disabled.
func (t trio) patch(ctx context.Context, tx *store.Tx, o *Object, p *CertificatePatch) error {
	if p.Policy != nil {
		if err := o.becomes(p.Policy); err != nil {
			return err
		}
	}
	if t.certificates.hollow(o) {
		o.Version.patch(Unset, Stamp{}, Stamp{}, p.Tags)
		return nil
	}
	mirror := func(linked *Object) error {
		linked.Version.patch(p.Enabled, p.NotBefore, p.Expires, nil)
		return nil
	}
	key, err := t.keys.updateIn(ctx, tx, "", o.Name, o.Version.ID, mirror)
	if err != nil {
		return err
	}
	if _, err := t.secrets.updateIn(ctx, tx, "", o.Name, o.Version.ID, mirror); err != nil {
		return err
	}
	o.Version.patch(p.Enabled, p.NotBefore, p.Expires, p.Tags)
	content, err := decodeKey(key.Version.Value)
	t.certificates.pair = &content
	return err
}

// setPolicy changes the policy alone: neither a version nor the key and the
// secret are touched by it.
func (s *Certificates) setPolicy(ctx context.Context, name string, fn func(kept string) ([]byte, error)) (Object, error) {
	c := s.of(kindCertificates)
	return c.adjust(ctx, "policy", name, func(_ *store.Tx, o *Object) error {
		if err := o.becomes(fn); err != nil || c.terms.Judge == nil || c.hollow(o) {
			return err
		}
		_, key, err := keyOf(s.of(kindKeys).get(ctx, o.Name, o.Version.ID))
		c.pair = &key
		return err
	})
}

// becomes replaces the policy of a certificate by what fn makes of it.
func (o *Object) becomes(fn func(kept string) ([]byte, error)) error {
	policy, err := fn(o.Policy)
	if err == nil {
		err = checkCertificate("", nil, policy)
	}
	if err != nil {
		return err
	}
	o.Policy = string(policy)
	return nil
}

// each runs a step for the certificate and then, when it has them, for its
// key and its secret.
func (t trio) each(step func(*collection) (Object, error)) (Object, error) {
	made, err := step(t.certificates)
	if err != nil || t.certificates.hollow(&made) {
		return made, err
	}
	for _, c := range []*collection{t.keys, t.secrets} {
		if _, err := step(c); err != nil {
			return Object{}, err
		}
	}
	return made, nil
}

// Delete moves the certificate to the deleted ones, and ends its pending
// operation (spec: DeleteCertificate).
func (s *Certificates) Delete(ctx context.Context, name string) (Object, CertificateContent, error) {
	t := s.trio()
	var made Object
	err := t.certificates.change(ctx, func(tx *store.Tx) error {
		item, p, ok, err := s.readPending(ctx, name)
		if err != nil {
			return err
		}
		if ok {
			tx.Unchanged(item)
			s.replacePending(tx, name, &p, nil)
		}
		made, err = t.each(func(c *collection) (Object, error) { return c.removeIn(ctx, tx, name) })
		return err
	})
	return certificateOf(made, err)
}

// GetDeleted reads a deleted certificate (spec: GetDeletedCertificate).
func (s *Certificates) GetDeleted(ctx context.Context, name string) (Object, CertificateContent, error) {
	return certificateOf(s.of(kindCertificates).getDeleted(ctx, name))
}

// Recover brings a deleted certificate back (spec:
// RecoverDeletedCertificate).
func (s *Certificates) Recover(ctx context.Context, name string) (Object, CertificateContent, error) {
	t := s.trio()
	var made Object
	err := t.certificates.change(ctx, func(tx *store.Tx) (err error) {
		if s.Terms.Judge != nil {
			if t.certificates.pair, err = t.deletedKey(ctx, name); err != nil {
				return err
			}
		}
		made, err = t.each(func(c *collection) (Object, error) { return c.recoverIn(ctx, tx, name) })
		return err
	})
	return certificateOf(made, err)
}

// deletedKey is the key of a deleted certificate; nil when it has none.
func (t trio) deletedKey(ctx context.Context, name string) (*KeyContent, error) {
	_, o, ok, err := t.keys.readDeleted(ctx, fold(name))
	if err != nil || !ok || !o.Version.Managed {
		return nil, err
	}
	content, err := decodeKey(o.Version.Value)
	return &content, err
}

// Purge removes a deleted certificate for good (spec:
// PurgeDeletedCertificate).
func (s *Certificates) Purge(ctx context.Context, name string) error {
	t := s.trio()
	return t.certificates.change(ctx, func(tx *store.Tx) error {
		_, err := t.each(func(c *collection) (Object, error) { return c.purgeIn(ctx, tx, name) })
		return err
	})
}

// List is one page of the live certificates after a cursor, with those that
// are not issued yet or without (spec: GetCertificates). A page can be short
// where some are left out.
func (s *Certificates) List(ctx context.Context, after string, limit int, pending bool) (CertificatePage, error) {
	c := s.of(kindCertificates)
	return s.page(pending)(c.list(ctx, c.liveKey(""), after, limit))
}

// ListDeleted is one page of the deleted certificates (spec:
// GetDeletedCertificates).
func (s *Certificates) ListDeleted(ctx context.Context, after string, limit int, pending bool) (CertificatePage, error) {
	c := s.of(kindCertificates)
	return s.page(pending)(c.list(ctx, c.deletedKey(""), after, limit))
}

// Versions is one page of the versions of a certificate (spec:
// GetCertificateVersions); it has none before it is issued.
func (s *Certificates) Versions(ctx context.Context, name, after string, limit int) (CertificatePage, error) {
	return s.page(false)(s.of(kindCertificates).versions(ctx, name, after, limit))
}

// page takes the contents out of a page of objects.
func (s *Certificates) page(pending bool) func(Page, error) (CertificatePage, error) {
	return func(p Page, err error) (CertificatePage, error) {
		if err != nil {
			return CertificatePage{}, err
		}
		page := CertificatePage{Next: p.Next, Certificates: make([]CertificateItem, 0, len(p.Objects))}
		for _, o := range p.Objects {
			if o.Version.Value == "" && !pending {
				continue
			}
			o, content, err := certificateOf(o, nil)
			if err != nil {
				return CertificatePage{}, err
			}
			page.Certificates = append(page.Certificates, CertificateItem{o, content})
		}
		return page, nil
	}
}
