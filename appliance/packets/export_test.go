package packets

// MaxQueued is the greatest number of packets that wait for a reader.
const MaxQueued = maxQueued

// ValidName reports whether a capture can have a name.
func ValidName(name string) bool { return validName(name) }
