package topology

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a topology file. They are checked before anything whose time grows faster than
// what they bound.
const (
	maxFileSize = 1 << 20 // bytes
	maxDepth    = 32      // levels of nested values; the parser's time grows with their square
	maxHosts    = 10_000
	// MaxRules is the number of rules of a topology, and of faults of a world. Each packet may
	// be checked against all of them.
	MaxRules = 256
	// maxLength is the length of all other lists and tables.
	maxLength = 1000
)

// tooDeep returns the first token that is nested too deeply, nil if there is none.
func tooDeep(tokens token.Tokens) *token.Token {
	var blocks []int // columns of the blocks that a token is in
	flows, line, opened := 0, 0, false
	for _, tok := range tokens {
		switch tok.Type {
		case token.MappingStartType, token.SequenceStartType:
			flows++
		case token.MappingEndType, token.SequenceEndType:
			flows = max(0, flows-1)
		}
		indicator := tok.Type == token.SequenceEntryType || tok.Type == token.MappingKeyType
		if tok.Position == nil {
			continue
		}
		if at := tok.Position; flows == 0 && (at.Line != line || opened || indicator) {
			for len(blocks) > 0 && blocks[len(blocks)-1] >= at.Column {
				blocks = blocks[:len(blocks)-1]
			}
			blocks = append(blocks, at.Column)
		}
		line, opened = tok.Position.Line, indicator
		if len(blocks)+flows > maxDepth {
			return tok
		}
	}
	return nil
}

// checkLength reports whether a list or table at path is too long.
func (d *decoder) checkLength(n ast.Node, path string, length int) error {
	limit := maxLength
	switch path {
	case "hosts":
		limit = maxHosts
	case "rules":
		limit = MaxRules
	}
	if length > limit {
		return d.errorAt(start(n), "%s has %d values, expected at most %d", path, length, limit)
	}
	return nil
}
