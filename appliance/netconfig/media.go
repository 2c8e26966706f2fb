package netconfig

import (
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Media is the section of the media settings. An Ethernet interface that is not listed uses
// Autoselect.
var Media = config.Define("ethernet_settings", MediaSettings{}, MediaSettings.check,
	config.In(config.Network, 14))

// MediaSettings is the value of Media.
type MediaSettings struct {
	List []MediaSetting `xml:"ethernet"`
}

func (s MediaSettings) check(*config.Config) error {
	seen := map[string]bool{}
	for _, e := range s.List {
		if e.Interface == "" {
			return refusal.New("There are media settings without an Ethernet interface.")
		}
		if seen[e.Interface] {
			return refusal.Newf("The Ethernet interface %s has more than one media setting.", e.Interface)
		}
		seen[e.Interface] = true
		if _, _, err := e.Rate(); err != nil {
			return err
		}
	}
	return nil
}

// For returns the setting of an Ethernet interface.
func (s MediaSettings) For(name string) MediaSetting {
	for _, e := range s.List {
		if e.Interface == name {
			return e
		}
	}
	return MediaSetting{Interface: name, Type: Autoselect}
}

// A MediaSetting is the medium that an Ethernet interface uses.
type MediaSetting struct {
	Interface string `xml:"ethernet_interface"`
	Type      string `xml:"media"`     // Autoselect, or the name of a MediaType
	Options   string `xml:"media_opt"` // "full-duplex", "half-duplex"; "" for Autoselect
}

// Autoselect is the medium of an interface that is not listed.
const Autoselect = "autoselect"

// A MediaType is a kind of Ethernet that can be set.
type MediaType struct {
	Name string
	Rate int64 // bits a second
}

// MediaTypes returns the media that can be set, slowest first.
func MediaTypes() []MediaType {
	return []MediaType{
		{"10baseT/UTP", 10_000_000},
		{"100baseTX", 100_000_000},
		{"1000baseTX", 1_000_000_000},
	}
}

// Rate returns the rate in bits a second, 0 for Autoselect, and whether both directions share
// it.
func (e MediaSetting) Rate() (bits int64, half bool, err error) {
	if e.Type == Autoselect && e.Options == "" {
		return 0, false, nil
	}
	for _, m := range MediaTypes() {
		if m.Name == e.Type && (e.Options == "full-duplex" || e.Options == "half-duplex") {
			return m.Rate, e.Options == "half-duplex", nil
		}
	}
	return 0, false, refusal.Newf("The Ethernet interface %s has the unknown medium %q.",
		e.Interface, strings.TrimSpace(e.Type+" "+e.Options))
}
