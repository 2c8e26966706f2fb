package promtext_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/esasim/esasim/appliance/promtext"
)

func text(t *testing.T, families ...promtext.Family) string {
	t.Helper()
	var b strings.Builder
	if err := promtext.Write(&b, families); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func one(name string, value float64, labels ...promtext.Label) promtext.Family {
	return promtext.Family{Name: name, Help: "Help.", Kind: promtext.Gauge,
		Samples: []promtext.Sample{{Labels: labels, Value: value}}}
}

func TestWrite(t *testing.T) {
	f := promtext.Family{Name: "b_total", Help: "Two\nlines, a \\ and a \".", Kind: promtext.Counter, Samples: []promtext.Sample{
		{Labels: []promtext.Label{{Name: "path", Value: "a\\b\n\"c\""}, {Name: "x", Value: ""}}, Value: 1e9},
		{Value: 0.5},
	}}
	got := text(t, f, one("a", math.Inf(1)), promtext.Family{Name: "none", Kind: promtext.Gauge})
	const want = "# HELP a Help.\n# TYPE a gauge\na +Inf\n" +
		"# HELP b_total Two\\nlines, a \\\\ and a \".\n# TYPE b_total counter\n" +
		`b_total{path="a\\b\n\"c\"",x=""} 1e+09` + "\nb_total 0.5\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	two := one("a", 1)
	two.Samples = append(two.Samples, two.Samples...)
	for name, families := range map[string][]promtext.Family{
		"an empty name":    {one("", 1)},
		"a digit in front": {one("1a", 1)},
		"a blank":          {one("a b", 1)},
		"no kind":          {{Name: "a"}},
		"two of a name":    {one("a", 1), one("b", 1), one("a", 2)},
		"two samples":      {two},
		"a bad label":      {one("a", 1, promtext.Label{Name: "a:b"})},
		"a reserved label": {one("a", 1, promtext.Label{Name: "__a"})},
		"a label twice":    {one("a", 1, promtext.Label{Name: "a"}, promtext.Label{Name: "a"})},
	} {
		var b strings.Builder
		if err := promtext.Write(&b, families); err == nil || b.Len() > 0 {
			t.Errorf("%s: %v, %q", name, err, b.String())
		}
	}
	if err := promtext.Write(failing{}, []promtext.Family{one("a", 1)}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// FuzzWrite: Prometheus reads back what was written, whatever texts and values are.
func FuzzWrite(f *testing.F) {
	f.Add("a \\ b", "\"\n\xff", 1.5)
	f.Add("", "é", math.NaN())
	f.Add("x\r", "\x00", math.Inf(-1))
	f.Fuzz(func(t *testing.T, help, label string, value float64) {
		family := one("a", value, promtext.Label{Name: "l", Value: label})
		family.Help = help
		parser := expfmt.NewTextParser(model.LegacyValidation)
		found, err := parser.TextToMetricFamilies(strings.NewReader(text(t, family)))
		if err != nil {
			t.Fatalf("%q %q %v: %v", help, label, value, err)
		}
		m := found["a"].GetMetric()[0]
		same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
		if l := m.GetLabel()[0].GetValue(); l != strings.ToValidUTF8(label, "\uFFFD") || !same(m.GetGauge().GetValue(), value) {
			t.Errorf("%q %v is read as %q %v", label, value, l, m.GetGauge().GetValue())
		}
	})
}
