// Package shelltest plays written conversations against a command line.
//
// A conversation is what a user would see on the screen, with marks around what was
// typed:
//
//	example.com> «passphrase»
//
//	Old passphrase: ‹ironport›
//	New passphrase: «^C»
//	example.com> «exit»
//
// «text» is typed and echoed, ‹text› is typed and not echoed; Enter follows both.
// «^C», «^D» and «^]» are keys, and so is a name at the end of a text: «<space>» answers
// the pager, «set<tab>» asks for completion. A measured value is a placeholder:
//
//	⟨number⟩   digits
//	⟨count⟩    digits at the right of their column, with the blanks before them
//	⟨ms⟩       a time in milliseconds: 2.095
//	⟨time⟩     a time of day: 08:50:03
//	⟨date⟩     a date and time: Thu Jun 25 08:50:03 2015
//	⟨stamp⟩    as file names have it: 20150625-085003
//	⟨port⟩     a port from 1024 to 65535
//	⟨hex⟩      hexadecimal digits
//
// It matches its form and nothing else.
//
// # Lock step
//
// Play types nothing before it has heard, byte for byte, what the conversation says
// comes first, and it stops at the first byte that differs. It needs to know nothing of prompts:
// the conversation says when the appliance waits. So extra text, a missing question
// and an answer that was taken by another question are all seen where they happen.
// Of line ends it is only tested that lines end; the pager's erasure of itself counts
// as one.
//
// A conversation ends with the end of the session, for which Play waits, or with
// «…», which types nothing: the next conversation may go on from there.
//
// The scripts around the conversations, with their verbs, are documented in package commands.
package shelltest
