package listener

// This file holds what the commands that edit the tables need.

// CheckEntry returns a refusal if s is no entry of a sender group.
func CheckEntry(s string) error {
	_, err := parseEntry(s)
	return err
}

// Check returns a refusal that says what is wrong with the table.
func (t RecipientTable) Check() error { return t.check() }

// Check returns a refusal that says what is wrong with the table.
func (t HostTable) Check() error { return t.check() }

// With returns e with the parameters that p sets.
func (e Effective) With(p Parameters) Effective { return e.with(p) }
