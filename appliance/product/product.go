package product

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Facts describe one appliance.
type Facts struct {
	Model     string // "C100V"
	Serial    string // "421F6D8FB9C75E19C425-C9AEA81B2B70"
	Version   Version
	BuildDate time.Time // of Version
	Installed time.Time // when Version was installed
	CPUs      int
	MemoryMB  int
}

// Virtual reports whether the model is a virtual appliance: its name ends in V.
func (f Facts) Virtual() bool { return strings.HasSuffix(f.Model, "V") }

// Hardware returns the number of processors and the memory of a model. An unknown model gets those
// of the smallest virtual appliance.
func Hardware(model string) (cpus, memoryMB int) {
	switch model {
	case "C300V":
		return 4, 8192
	case "C600V":
		return 8, 16384
	case "C100V":
		return 2, 6144
	}
	return 1, 4096
}

// Firmware returns the versions of the BIOS and of the baseboard management controller. ok is
// false for virtual models, which have neither.
func (f Facts) Firmware() (bios, bmc string, ok bool) {
	if f.Virtual() {
		return "", "", false
	}
	return "2.1.3", "2.08", true
}

// RAID describes the disk array of a hardware model, as version and diagnostic show it.
type RAID struct{ Version, Status, Type string }

// RAID returns the disk array. ok is false for virtual models, which have none. Models of the C1x0
// series mirror two disks (RAID 1), the others stripe over mirrors (RAID 10).
func (f Facts) RAID() (r RAID, ok bool) {
	if f.Virtual() {
		return RAID{}, false
	}
	r = RAID{Version: "02", Status: "Optimal", Type: "10"}
	if strings.HasPrefix(f.Model, "C1") {
		r.Type = "1"
	}
	return r, true
}

// IronPort reports whether the product still has its first maker's name, IronPort: up to
// AsyncOS 7.
func (f Facts) IronPort() bool { return f.Version.Before(Version{Major: 8}) }

// Name returns the product's name as the version command prints it.
func (f Facts) Name() string {
	switch {
	case f.IronPort():
		return "IronPort " + f.Model + " Messaging Gateway(tm) Appliance"
	case f.Virtual():
		return "Cisco " + f.Model + " Email Security Virtual Appliance"
	}
	return "Cisco " + f.Model + " Email Security Appliance"
}

// A Version is a version of AsyncOS, such as 14.0.0 build 698. The zero Version is
// older than any other.
type Version struct{ Major, Minor, Patch, Build int }

// ParseVersion parses the form "14.0.0-698". The build may be omitted.
func ParseVersion(s string) (Version, error) {
	var v Version
	release, build, hasBuild := strings.Cut(s, "-")
	parts := strings.Split(release, ".")
	ok := len(parts) == 3 &&
		number(parts[0], &v.Major) && number(parts[1], &v.Minor) && number(parts[2], &v.Patch)
	if !ok || hasBuild && !number(build, &v.Build) {
		return Version{}, fmt.Errorf("version %q: expected a form such as 14.0.0-698", s)
	}
	return v, nil
}

// number parses a decimal number of up to six digits.
func number(s string, n *int) bool {
	if s == "" || len(s) > 6 {
		return false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
		*n = *n*10 + int(c-'0')
	}
	return true
}

// Release returns the version without its build: "14.0.0".
func (v Version) Release() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// String returns the form "14.0.0-698".
func (v Version) String() string { return fmt.Sprintf("%s-%03d", v.Release(), v.Build) }

// Compare returns a negative number if v is older than w, a positive one if it is newer, and 0 if
// they are equal.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor),
		cmp.Compare(v.Patch, w.Patch), cmp.Compare(v.Build, w.Build))
}

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool { return v.Compare(w) < 0 }
