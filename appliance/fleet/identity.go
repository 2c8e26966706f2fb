package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/esasim/esasim/appliance/box"
)

// maxName is the length of an appliance's name in characters. It is a label of a host name.
const maxName = 40

// isName reports whether s can be the name of an appliance, which is also the name of a directory,
// a part of URLs, and a label of host names.
func isName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	return s != "" && len(s) <= maxName && s[0] != '-' && s[len(s)-1] != '-' && strings.Trim(s, letters) == ""
}

// derivedSerial returns a serial number in the form that the model has: of virtual appliances,
// 20 and 12 hexadecimal digits; of machines, 12 hexadecimal digits and 7 letters and digits.
func derivedSerial(model, fleet, name string) string {
	sum := sha256.Sum256([]byte("serial of " + fleet + "/" + name))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	if strings.HasSuffix(model, "V") {
		return digits[:20] + "-" + digits[20:32]
	}
	const letters = "0123456789ABCDEFGHJKLMNPQRSTVWXYZ"
	tail := make([]byte, 7)
	for i := range tail {
		tail[i] = letters[int(sum[16+i])%len(letters)]
	}
	return digits[:12] + "-" + string(tail)
}

// variant returns what the appliance has of its own among those of its kind.
func (s Spec) variant() box.Variant {
	return box.Variant{HostName: s.HostName, Serial: s.Serial, Addresses: s.addresses}
}

// Model returns the appliance's model.
func (s Spec) Model() string { return s.kind.topology.Appliance.Model }

// Version returns the appliance's version: release and build.
func (s Spec) Version() string { return s.kind.topology.Appliance.Version }

// A Shard is a part of a fleet: number N, from 0, of Of parts. The zero Shard is the whole fleet.
type Shard struct{ N, Of int }

// place returns the place in the shard of the appliance with that index in the fleet. ok is false if
// the appliance belongs to another shard.
func (s Shard) place(index int) (place int, ok bool) {
	if s.Of <= 1 {
		return index, true
	}
	return index / s.Of, index%s.Of == s.N
}
