package topology

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// MaxMailRules is the number of rules of a mail server. Each command may be checked against all.
const MaxMailRules = 256

// mailRules checks the rules of a service. at returns the path of a key of the service.
func (c *checker) mailRules(s *Service, kind ServerType, at func(string) string) error {
	switch n := len(s.Rules); {
	case n > 0 && !kind.HasRules:
		return c.errorf(at(".rules"), "a server of type %s has no rules, expected none", s.Type)
	case n > MaxMailRules:
		return c.errorf(at(".rules"), "%d rules, expected at most %d", n, MaxMailRules)
	}
	for i := range s.Rules {
		err := s.Rules[i].check(func(key, format string, args ...any) error {
			return c.errorf(at(index(".rules", i, key)), format, args...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Check reports what is wrong with a rule. Its errors are of type *RuleError.
func (r *MailRule) Check() error {
	return r.check(func(key, format string, args ...any) error {
		return &RuleError{strings.TrimPrefix(key, "."), fmt.Sprintf(format, args...)}
	})
}

func (r *MailRule) check(errorf errorFunc) error {
	if !slices.Contains(MailActions(), r.Action) {
		return errorf(".action", "%q is no action, expected %s", r.Action, alternatives(MailActions()))
	}
	for _, check := range []func(errorFunc) error{
		r.checkOtherActions, r.checkAmount, r.checkStage, r.checkPatterns, r.checkNumbers,
	} {
		if err := check(errorf); err != nil {
			return err
		}
	}
	return nil
}

// alternatives lists words for a message: "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// checkOtherActions checks that the rule has no amount of another action.
func (r *MailRule) checkOtherActions(errorf errorFunc) error {
	for _, x := range []struct {
		key string
		set bool
		of  []string
	}{
		{"reply", r.Reply != "", []string{MailReplies, MailGreylist, MailConnections}},
		{"delay", r.Delay != 0, []string{MailDelay}},
		{"cut", r.Cut != "", []string{MailCut}},
		{"greylist", r.Greylist != 0, []string{MailGreylist}},
		{"certificate", r.Certificate != "", []string{MailCertificate}},
		{"connections", r.Connections != 0, []string{MailConnections}},
		{"after_bytes", r.AfterBytes != 0, []string{MailCut}},
	} {
		if x.set && !slices.Contains(x.of, r.Action) {
			return errorf("."+x.key, "action %s has no %s, expected action %s",
				r.Action, x.key, strings.Join(x.of, " or "))
		}
	}
	return nil
}

// checkAmount checks the amount of the action.
func (r *MailRule) checkAmount(errorf errorFunc) error {
	if r.Reply != "" || r.Action == MailReplies {
		if _, err := ParseMailReply(r.Reply); err != nil {
			return errorf(".reply", "%v", err)
		}
	}
	switch r.Action {
	case MailDelay:
		if r.Delay <= 0 || r.Delay > longestDelay {
			return errorf(".delay", "a delay of %v, expected one such as 2s, at most %v",
				r.Delay, longestDelay)
		}
	case MailCut:
		if !slices.Contains([]string{"", CutReset, CutClose}, r.Cut) {
			return errorf(".cut", "%q, expected %s or %s", r.Cut, CutReset, CutClose)
		}
	case MailGreylist:
		if r.Greylist <= 0 || r.Greylist > longestTime {
			return errorf(".greylist", "a time of %v, expected one such as 5m", r.Greylist)
		}
	case MailCertificate:
		if !slices.Contains(Certificates(), r.Certificate) {
			return errorf(".certificate", "%q is no certificate, expected %s",
				r.Certificate, alternatives(Certificates()))
		}
	case MailConnections:
		if r.Connections < 1 {
			return errorf(".connections", "%d connections, expected 1 or more", r.Connections)
		}
	}
	return nil
}

// checkStage checks that the rule has the stage that its action needs.
func (r *MailRule) checkStage(errorf errorFunc) error {
	stages := alternatives(MailStages())
	if r.Stage != "" && !slices.Contains(MailStages(), r.Stage) {
		return errorf(".stage", "%q is no stage, expected %s", r.Stage, stages)
	}
	switch r.Action {
	case MailReplies:
		if r.Stage == "" {
			return errorf(".stage", "no stage, expected %s", stages)
		}
	case MailCut:
		switch {
		case r.Stage == "" && r.AfterBytes == 0:
			return errorf(".stage", "no stage, expected %s; or after_bytes", stages)
		case r.AfterBytes != 0 && r.Stage != "" && r.Stage != StageEnd:
			return errorf(".after_bytes", "bytes are counted of a connection or a message, "+
				"expected no stage or stage %s", StageEnd)
		}
	case MailGreylist, MailCertificate, MailConnections:
		if r.Stage != "" {
			return errorf(".stage", "action %s has its own stage, expected none", r.Action)
		}
	}
	return nil
}

// checkPatterns checks the patterns of addresses, and that the addresses are known in time.
func (r *MailRule) checkPatterns(errorf errorFunc) error {
	for _, p := range []struct{ key, pattern, stage string }{
		{".sender", r.Sender, StageMAIL},
		{".recipient", r.Recipient, StageRCPT},
	} {
		notInAddress := func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }
		switch {
		case p.pattern == "":
		case strings.ContainsFunc(p.pattern, notInAddress) || len(p.pattern) > 320:
			return errorf(p.key,
				"%q is no pattern of an address, expected one such as *@example.com", p.pattern)
		case r.Action == MailCertificate || r.Action == MailConnections,
			r.Action == MailCut && r.Stage == "":
			return errorf(p.key, "no address is known when this rule applies, expected none")
		case r.Stage != "" && !atLeast(r.Stage, p.stage):
			return errorf(p.key, "no address is known at stage %s, expected stage %s or a later one",
				r.Stage, p.stage)
		}
	}
	return nil
}

// checkNumbers checks the conditions that are numbers.
func (r *MailRule) checkNumbers(errorf errorFunc) error {
	switch {
	case r.Times < 0:
		return errorf(".times", "%d times, expected 0 or more", r.Times)
	case r.AfterMessages < 0:
		return errorf(".after_messages", "%d messages, expected 0 or more", r.AfterMessages)
	case r.AfterBytes < 0:
		return errorf(".after_bytes", "%d bytes, expected 0 or more", r.AfterBytes)
	case r.Share < 0 || r.Share > 1:
		return errorf(".share", "share %v, expected more than 0 and at most 1 (100%%)", r.Share)
	}
	return nil
}
