package web

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/dissect"
)

// bytesPerLine is the number of bytes in a line of a dump.
const bytesPerLine = 16

// A markedText is a text with a part that is marked; Marked is "" if none is.
type markedText struct{ Before, Marked, After string }

// A dumpLine is a line of a dump in which the bytes of a field may be marked.
type dumpLine struct {
	Offset    string
	Hex, Text markedText
}

// markDump marks length bytes from offset on.
func markDump(lines []dissect.DumpLine, offset, length int) []dumpLine {
	out := make([]dumpLine, len(lines))
	for i, l := range lines {
		out[i] = dumpLine{l.Offset, markedText{Before: l.Hex}, markedText{Before: l.Text}}
		from := max(0, offset-i*bytesPerLine)
		to := min(len(l.Text), offset+length-i*bytesPerLine)
		if from >= to {
			continue
		}
		out[i].Hex = cutText(l.Hex, hexColumn(from), hexColumn(to-1)+2)
		out[i].Text = cutText(l.Text, from, to)
	}
	return out
}

// hexColumn returns where the n-th byte of a line begins: there is a gap after eight.
func hexColumn(n int) int { return 3*n + n/8 }

func cutText(s string, from, to int) markedText {
	from, to = min(from, len(s)), min(to, len(s))
	return markedText{s[:from], s[from:to], s[to:]}
}

// parseBytes returns the bytes that a query names, such as "26-4" for four bytes from 26 on. It
// returns zeros for any other text.
func parseBytes(text string) (offset, length int) {
	a, b, _ := strings.Cut(text, "-")
	offset, err := strconv.Atoi(a)
	length, err2 := strconv.Atoi(b)
	if err != nil || err2 != nil || offset < 0 || length < 0 || offset > maxDump || length > maxDump {
		return 0, 0
	}
	return offset, length
}

// maxDump is more than the number of bytes of any packet.
const maxDump = 1 << 20

// A fieldView is a field of a header, with the addresses to which it leads.
type fieldView struct {
	dissect.Field
	At    string // its bytes: "26-4"; "" if it has none
	Bytes string // this page with the bytes marked
	Apply string // the list with the field's filter
}

// A layerView is a header on the page of a packet.
type layerView struct {
	Name   string
	Fields []fieldView
}

// layerViews adds to the fields of a packet the addresses to which they lead. here is the address of
// the page without a query.
func layerViews(list []dissect.Layer, here, path string, q viewQuery) []layerView {
	out := make([]layerView, 0, len(list))
	for _, l := range list {
		v := layerView{Name: l.Name}
		for _, f := range l.Fields {
			view := fieldView{Field: f}
			if f.Length > 0 {
				view.At = fmt.Sprintf("%d-%d", f.Offset, f.Length)
				view.Bytes = here + q.With("at", view.At) + "#bytes"
			}
			if f.Filter != "" {
				view.Apply = path + viewQuery{f.Filter, q.Absolute}.String()
			}
			v.Fields = append(v.Fields, view)
		}
		out = append(out, v)
	}
	return out
}
