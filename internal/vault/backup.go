package vault

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"

	"postern/internal/seal"
	"postern/internal/store"
)

// A backup blob is, in this order: the magic with the format's version, the
// mark of where it may be restored (a hash of subscription and geography),
// and the sealed content. The seal covers kind and mark, so neither can be
// exchanged. The mark is in the open only to tell a foreign blob from a
// damaged one.
const (
	backupMagic = "postern\x01"
	markSize    = 16
)

// MaxBlob bounds the size of a backup blob: MaxBackup versions with values
// at their limit, and room for what describes them.
const MaxBlob = MaxBackup*MaxValue + 4<<20

func (t Terms) mark() string {
	sum := sha256.Sum256([]byte(strings.ToLower(t.Subscription) + "\n" + strings.ToLower(t.Geography)))
	return string(sum[:markSize])
}

func (c *collection) backupBinding() string { return "backup/" + c.kind + "/" + c.terms.mark() }

// backup seals the object with all its versions into a blob.
func (c *collection) backup(ctx context.Context, key *seal.Key, name string) ([]byte, error) {
	for range attempts {
		whole, err := c.whole(ctx, name)
		if errors.Is(err, errTorn) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := c.own(&whole.object); err != nil {
			return nil, err
		}
		rows := make([][]Version, len(whole.versions))
		for i, v := range whole.versions {
			rows[i] = []Version{v}
		}
		return c.seal(key, &whole.object, rows)
	}
	return nil, Contended
}

// errTorn says that an object changed while it was read.
var errTorn = errors.New("vault: the object changed while it was read")

// whole is an object with all its versions, the latest first.
type whole struct {
	object   Object
	versions []Version
}

// whole reads an object with all its versions; errTorn when it changed
// between the two reads.
func (c *collection) whole(ctx context.Context, name string) (whole, error) {
	o, err := c.get(ctx, name, "")
	if err != nil {
		return whole{}, err
	}
	if o.versions > MaxBackup {
		return whole{}, TooManyVersions
	}
	older, err := c.space.Range(ctx, c.versionsPrefix(fold(name), o.life), "", MaxBackup)
	if err != nil {
		return whole{}, err
	}
	if len(older) != o.versions-1 {
		return whole{}, errTorn
	}
	w := whole{o, []Version{o.Version}}
	for _, item := range older {
		v, err := c.openVersion(item)
		if err != nil {
			return whole{}, err
		}
		w.versions = append(w.versions, v)
	}
	return w, nil
}

// seal makes the blob of an object and its versions, the latest first; the
// versions of what belongs to it stand beside its own.
func (c *collection) seal(key *seal.Key, o *Object, rows [][]Version) ([]byte, error) {
	plain := backupContent(o, rows)
	if len(plain) > MaxBlob-1024 {
		return nil, TooManyVersions
	}
	blob := append([]byte(backupMagic), c.terms.mark()...)
	return append(blob, key.Seal(c.backupBinding(), plain)...), nil
}

// backupContent is the name, the policy, and the versions. An object without
// a policy has the first format.
func backupContent(o *Object, rows [][]Version) []byte {
	format := byte(recordFormat)
	if o.Policy != "" {
		format = extendedFormat
	}
	plain := appendString([]byte{format}, o.Name)
	if format == extendedFormat {
		plain = appendString(plain, o.Policy)
	}
	plain = binary.AppendUvarint(plain, uint64(len(rows)))
	for _, row := range rows {
		for i := range row {
			plain = appendString(plain, string(appendVersion(nil, &row[i])))
		}
	}
	return plain
}

// openBackup reads a blob: the object, and rows of versions of a width, the
// latest first.
func (c *collection) openBackup(key *seal.Key, blob []byte, width int) (o Object, rows [][]Version, err error) {
	sealed, ok := strings.CutPrefix(string(blob), backupMagic)
	if !ok || len(sealed) < markSize {
		return o, nil, BackupMalformed
	}
	if sealed[:markSize] != c.terms.mark() {
		return o, nil, BackupForeign
	}
	plain, err := key.Open(c.backupBinding(), []byte(sealed[markSize:]))
	if err != nil {
		return o, nil, BackupMalformed
	}
	return decodeBackup(string(plain), width)
}

func decodeBackup(plain string, width int) (o Object, rows [][]Version, err error) {
	r := reader{rest: plain}
	format := r.format()
	o.Name = r.string()
	if format == extendedFormat {
		o.Policy = r.string()
	}
	n := r.uvarint()
	if n == 0 || n > MaxBackup || checkName(o.Name) != nil {
		return Object{}, nil, BackupMalformed
	}
	for range n {
		row := make([]Version, width)
		for i := range row {
			row[i], err = decodeVersion(r.string())
			if err != nil || !validVersion(row[i].ID) || row[i].ID != row[0].ID {
				return Object{}, nil, BackupMalformed
			}
		}
		rows = append(rows, row)
	}
	if !r.end() {
		return Object{}, nil, BackupMalformed
	}
	o.Version = rows[0][0]
	return o, rows, nil
}

// restore makes the object of a blob anew, with its versions and their
// identifiers. The name must be free; where it is not, the object that comes
// with the error holds it.
func (c *collection) restore(ctx context.Context, key *seal.Key, blob []byte) (Object, error) {
	o, rows, err := c.openBackup(key, blob, 1)
	if err != nil {
		return Object{}, err
	}
	var made Object
	err = c.change(ctx, func(tx *store.Tx) (err error) {
		made, err = c.restoreIn(ctx, tx, &o, rows, 0)
		return err
	})
	if err != nil {
		return Object{Name: o.Name}, err
	}
	return made, nil
}

// restoreIn makes an object of one column of the rows.
func (c *collection) restoreIn(ctx context.Context, tx *store.Tx, o *Object, rows [][]Version, column int) (Object, error) {
	key := fold(o.Name)
	_, _, taken, err := c.read(ctx, c.liveKey(key))
	if err != nil {
		return Object{}, err
	}
	if taken {
		return Object{}, Exists
	}
	if err := c.claim(ctx, tx, key); err != nil {
		return Object{}, err
	}
	made := Object{Name: o.Name, Version: rows[0][column], life: c.newVersion(), versions: len(rows)}
	if column == 0 {
		made.Policy = o.Policy
	}
	if err := c.judge(ctx, "restore", &made); err != nil {
		return Object{}, err
	}
	for _, row := range rows[1:] {
		c.putVersion(tx, &made, &row[column])
	}
	c.replace(tx, nil, &made)
	return made, nil
}

// BackUp is the certificate with all its versions, their keys and secrets,
// and its policy as a sealed blob (spec: BackupCertificate).
func (s *Certificates) BackUp(ctx context.Context, name string) ([]byte, error) {
	t := s.trio()
	for range attempts {
		var parts [3]whole
		var err error
		for i, c := range []*collection{t.certificates, t.keys, t.secrets} {
			if parts[i], err = c.whole(ctx, name); err != nil {
				break
			}
			if t.certificates.hollow(&parts[0].object) {
				return nil, NotFound
			}
		}
		rows, same := together(parts[:])
		switch {
		case err == nil && same:
			return t.certificates.seal(s.Backup, &parts[0].object, rows)
		case err != nil && !errors.Is(err, errTorn):
			return nil, err
		}
	}
	return nil, Contended
}

// together puts the versions of several objects side by side; false when
// they do not have the same ones.
func together(parts []whole) ([][]Version, bool) {
	rows := make([][]Version, len(parts[0].versions))
	for i := range rows {
		for _, p := range parts {
			if len(p.versions) != len(rows) || p.versions[i].ID != parts[0].versions[i].ID {
				return nil, false
			}
			rows[i] = append(rows[i], p.versions[i])
		}
	}
	return rows, true
}

// Restore makes the certificate of a blob anew, with its keys and secrets
// (spec: RestoreCertificate). The three names must be free; where one is
// not, the object that comes with the error holds the name.
func (s *Certificates) Restore(ctx context.Context, blob []byte) (Object, CertificateContent, error) {
	t := s.trio()
	o, rows, err := t.certificates.openBackup(s.Backup, blob, 3)
	if err != nil {
		return Object{}, CertificateContent{}, err
	}
	content, err := decodeKey(rows[0][1].Value)
	if err != nil {
		return Object{}, CertificateContent{}, BackupMalformed
	}
	t.certificates.pair = &content
	var made Object
	err = t.certificates.change(ctx, func(tx *store.Tx) (err error) {
		for i, c := range []*collection{t.certificates, t.keys, t.secrets} {
			part, err := c.restoreIn(ctx, tx, &o, rows, i)
			if err != nil {
				return err
			}
			if i == 0 {
				made = part
			}
		}
		return nil
	})
	if err != nil {
		return Object{Name: o.Name}, CertificateContent{}, err
	}
	return certificateOf(made, nil)
}
