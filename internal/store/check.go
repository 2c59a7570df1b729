package store

// Check holds a transaction to the limits: ErrInvalid when a key is empty or
// longer than MaxKey, or a value longer than MaxValue. Every store calls it
// first.
func (tx *Tx) Check() error {
	for _, c := range tx.Conditions {
		if !validKey(c.Key) {
			return ErrInvalid
		}
	}
	for _, op := range tx.Operations {
		if !validKey(op.Key) || len(op.Value) > MaxValue {
			return ErrInvalid
		}
	}
	return nil
}

func validKey(key string) bool { return key != "" && len(key) <= MaxKey }
