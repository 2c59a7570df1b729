package keyring

import (
	"crypto/sha256"
	"runtime"
	"sync"
	"weak"
)

// Ring opens keys and has those at hand that are in use. Opening an RSA key
// costs about an eighth of a signature, because all its numbers are checked;
// a key that is used again and again is opened once.
//
// A key is found by the hash of its encoding, so a ring cannot answer with
// another key than it was asked for, and nothing has to be told when an object
// changes. It holds no key: one that nobody uses any longer is gone with the
// next garbage collection, which is what bounds a ring in size, and which
// comes every two minutes at the latest. So no private key stays in the clear
// because it was once used.
//
// The zero Ring is empty and ready.
type Ring struct {
	keys sync.Map // hash of the encoding → weak.Pointer[Key]
}

// Open is Open, from the ring where the key is there.
func (r *Ring) Open(material []byte) (*Key, error) {
	id := sha256.Sum256(material)
	if held, ok := r.keys.Load(id); ok {
		if k := held.(weak.Pointer[Key]).Value(); k != nil {
			return k, nil
		}
	}
	k, err := Open(material)
	if err != nil {
		return nil, err
	}
	held := weak.Make(k)
	r.keys.Store(id, held)
	// By then another opening may have put a key of its own there.
	runtime.AddCleanup(k, func(id [sha256.Size]byte) { r.keys.CompareAndDelete(id, held) }, id)
	return k, nil
}
