package tlsconfig

import (
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/refusal"
)

func TestParseCiphers(t *testing.T) {
	for text, want := range map[string]string{
		"AES128-SHA":                                   "AES128-SHA",
		"AES128-SHA:AES256-SHA,DES-CBC3-SHA":           "AES128-SHA AES256-SHA DES-CBC3-SHA",
		"AES128-SHA AES128-SHA":                        "AES128-SHA",
		"EECDH+aRSA+AESGCM":                            "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256",
		"kRSA:!AESGCM:!SHA256:!RC4:!3DES":              "AES256-SHA AES128-SHA",
		"kRSA+SHA1:-RC4:+AES256":                       "AES128-SHA DES-CBC3-SHA AES256-SHA",
		"AES128-SHA:AES256-SHA:@STRENGTH":              "AES256-SHA AES128-SHA",
		"AES128-SHA:-AES128-SHA:AES256-SHA:AES128-SHA": "AES256-SHA AES128-SHA",
		"!AES128-SHA:AES256-SHA:AES128-SHA":            "AES256-SHA",
		"RC4:!aNULL:-EXPORT:!CAMELLIA":                 "ECDHE-ECDSA-RC4-SHA ECDHE-RSA-RC4-SHA RC4-SHA",
	} {
		list, err := ParseCiphers(text)
		var names []string
		for _, c := range list {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestCiphersThatAreMissingAreRefusedByName(t *testing.T) {
	for text, name := range map[string]string{
		"HIGH:CAMELLIA256-SHA": `"CAMELLIA256-SHA"`,
		"HIGH:EDH+aRSA":        `"EDH+aRSA"`,
		"RC4-MD5":              `"RC4-MD5"`,
		"HIGH:!NONSENSE":       `"NONSENSE"`,
		"EECDH+NONSENSE":       `"NONSENSE"`,
		"HIGH:!":               `""`,
		"HIGH:!ALL":            "no cipher",
		"":                     "no cipher",
		"::":                   "no cipher",
	} {
		_, err := ParseCiphers(text)
		if got, ok := refusal.Text(err); !ok || !strings.Contains(got, name) {
			t.Errorf("%q: %v, want a refusal with %s", text, err, name)
		}
	}
}

func TestDescriptionOfCipher(t *testing.T) {
	list, err := ParseCiphers("AES128-SHA")
	const want = "AES128-SHA              SSLv3 Kx=RSA      Au=RSA  Enc=AES(128)  Mac=SHA1"
	if err != nil || list[0].String() != want {
		t.Errorf("%q, %v; want %q", list, err, want)
	}
}

// FuzzParseCiphers: any string selects ciphers or is refused.
func FuzzParseCiphers(f *testing.F) {
	f.Add("RC4-SHA:RC4-MD5:ALL:-aNULL:-EXPORT")
	f.Add("MEDIUM:HIGH:-SSLv2:-aNULL:!RC4:@STRENGTH:-EXPORT")
	f.Add("EECDH+AESGCM:+AES128:!3DES")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseCiphers(text)
		if _, refused := refusal.Text(err); (len(list) == 0) != refused {
			t.Errorf("%q: %d ciphers, %v", text, len(list), err)
		}
		seen := map[uint16]bool{}
		for _, c := range list {
			if seen[c.ID] {
				t.Errorf("%q: %s appears twice", text, c.Name)
			}
			seen[c.ID] = true
		}
	})
}
