package pcapfilter

import (
	"fmt"
	"slices"
	"strings"
)

// refuseUnsupported fails for primitives of other link layers and of other systems' packet
// filters, which are valid but have no meaning for Ethernet frames in a file. It returns if the
// current token begins none of them.
func (p *parser) refuseUnsupported() {
	t := p.tok
	switch t.kind {
	case tokInbound, tokOutbound:
		fail(t.at, "inbound/outbound not supported on Ethernet when reading savefiles")
	case tokIfindex:
		p.advance()
		p.expect(tokNumber)
		fail(t.at, "ifindex not supported on Ethernet when reading savefiles")
	case tokPFName, tokPFNumber, tokReason, tokAction:
		p.refusePF()
	case tokATM:
		name := t.text
		if name == "oamf4ec" || name == "oamf4sc" {
			name = "oam4" + name[len("oamf4"):]
		}
		fail(t.at, fmt.Sprintf("'%s' supported only on raw ATM", name))
	case tokATMField:
		p.skipFieldValue()
		fail(t.at, fmt.Sprintf("'%s' supported only on raw ATM", t.text))
	case tokMTP2:
		layer, name := "MTP2", t.text
		if name[0] == 'h' {
			layer = "MTP2_HSL"
		}
		if name == "lsu" {
			name = "lssu"
		}
		fail(t.at, fmt.Sprintf("'%s' supported only on %s", name, layer))
	case tokMTP3Field:
		p.skipFieldValue()
		fail(t.at, fmt.Sprintf("'%s' supported only on SS7", strings.TrimPrefix(t.text, "h")))
	}
}

// contains reports whether a word is one of the names, ignoring case.
func contains(names []string, word string) bool {
	return slices.Contains(names, strings.ToLower(word))
}

// skipFieldValue parses the first number with which a field of ATM or SS7 is compared.
func (p *parser) skipFieldValue() {
	p.advance()
	switch p.tok.kind {
	case '>', '<', '=', tokGE, tokLE, tokNE, '(':
		p.advance()
	}
	p.expect(tokNumber)
}

// refusePF fails for a field of the log of OpenBSD's packet filter.
func (p *parser) refusePF() {
	t := p.advance()
	names := map[string]string{
		"on": "ifname", "rset": "ruleset", "rulenum": "rnr", "subrulenum": "srnr",
	}
	name, ok := names[t.text]
	if !ok {
		name = t.text
	}
	switch t.kind {
	case tokPFName:
		p.expect(tokName)
	case tokPFNumber:
		p.expect(tokNumber)
	case tokReason:
		if p.tok.kind == tokName && !contains(pfReasons, p.tok.text) {
			fail(p.tok.at, fmt.Sprintf("unknown PF reason \"%s\"", p.tok.text))
		}
		if p.tok.kind != tokNumber {
			p.expect(tokName)
		}
	case tokAction:
		if v := p.expect(tokName); !contains(pfActions, v.text) {
			fail(v.at, fmt.Sprintf("unknown PF action \"%s\"", v.text))
		}
	}
	fail(t.at, name+" supported only on PF linktype")
}

// refuseWLAN fails for types and directions of 802.11 frames. It reports an unknown name or
// number first.
func (p *parser) refuseWLAN() {
	t := p.advance()
	switch t.kind {
	case tokDir:
		if p.tok.kind == tokName && !contains(wlanDirections, p.tok.text) {
			fail(p.tok.at, "unknown 802.11 direction")
		}
		if p.tok.kind != tokNumber {
			p.expect(tokName)
		}
		fail(t.at, "frame direction supported only with 802.11 headers")
	case tokSubtype:
		v := p.expect(tokName)
		for _, names := range wlanSubtypes {
			if contains(names, v.text) {
				fail(t.at, "802.11 link-layer types supported only on 802.11")
			}
		}
		fail(v.at, "unknown 802.11 type name")
	}
	typ := p.wlanType()
	if p.tok.kind == tokSubtype {
		p.advance()
		p.checkWLANSubtype(typ)
	}
	fail(t.at, "802.11 link-layer types supported only on 802.11")
}

// wlanType parses the type after "type" and returns its number.
func (p *parser) wlanType() uint32 {
	if v := p.tok; v.kind == tokNumber {
		p.advance()
		if v.value&^0x0c != 0 {
			fail(v.at, fmt.Sprintf("invalid 802.11 type value 0x%02x", v.value))
		}
		return v.value >> 2
	}
	v := p.expect(tokName)
	n, ok := wlanTypes[strings.ToLower(v.text)]
	if !ok {
		fail(v.at, fmt.Sprintf("unknown 802.11 type name \"%s\"", v.text))
	}
	return n
}

// checkWLANSubtype parses the subtype of a type and fails if it does not exist.
func (p *parser) checkWLANSubtype(typ uint32) {
	if v := p.tok; v.kind == tokNumber {
		p.advance()
		if v.value&^0xf0 != 0 {
			fail(v.at, fmt.Sprintf("invalid 802.11 subtype value 0x%02x", v.value))
		}
		return
	}
	v := p.expect(tokName)
	if int(typ) >= len(wlanSubtypes) {
		fail(v.at, "unknown 802.11 type")
	}
	if !contains(wlanSubtypes[typ], v.text) {
		fail(v.at, fmt.Sprintf("unknown 802.11 subtype name \"%s\"", v.text))
	}
}
