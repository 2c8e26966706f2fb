package traffic

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/entropy"
)

// pick returns one of the elements of list.
func pick[T any](r *entropy.Stream, list []T) T { return list[r.IntN(len(list))] }

func firstNames() []string {
	return strings.Fields(`ada ali amy ana ben carl chris clara dan dora ed ella emma eric eva finn
		fred gina hans ida ines ivan jack jane jill joe john jose kate kim lars lea leo lisa lou luca
		maria mark max mia nina nora olga omar paul pia rosa ruth sam sara sven tina tom uma vera will
		yara zoe`)
}

func lastNames() []string {
	return strings.Fields(`adams baker bell berg brown carter clark cole costa davis diaz evans fischer
		ford garcia gray hall hansen harris hill jones kelly khan klein lang lee lopez martin meyer
		miller moore novak patel perez quinn reed rossi ruiz schmidt silva smith stone taylor turner
		vogel wagner walker ward weber white wolf wood young`)
}

// localPart returns a made-up name of a person, as it stands before the @.
func localPart(r *entropy.Stream) string {
	return pick(r, firstNames()) + "." + pick(r, lastNames())
}

func nouns() []string {
	return strings.Fields(`agenda budget calendar catalog contract customer delivery discount draft
		invoice holiday interview license location lunch meeting minutes newsletter offer order
		package payment plan presentation price project proposal quote receipt release report
		request reservation review sample schedule server shipment statement summary ticket timesheet
		training travel update vacancy visit workshop`)
}

func verbs() []string {
	return strings.Fields(`approve attach cancel change check collect compare complete confirm copy
		correct discuss explain extend finish forward move open order prepare print question read
		renew return review send share sign start update verify`)
}

// subject returns a made-up subject.
func subject(r *entropy.Stream) string {
	noun := pick(r, nouns())
	switch r.IntN(6) {
	case 0:
		return "Re: " + noun
	case 1:
		return fmt.Sprintf("%s %d", capital(noun), 1000+r.IntN(9000))
	case 2:
		return fmt.Sprintf("Please %s the %s", pick(r, verbs()), noun)
	case 3:
		return fmt.Sprintf("Fwd: %s and %s", noun, pick(r, nouns()))
	case 4:
		return fmt.Sprintf("Your %s for week %d", noun, 1+r.IntN(52))
	}
	return capital(noun) + " for " + capital(pick(r, firstNames()))
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// paragraph returns made-up sentences, in lines.
func paragraph(r *entropy.Stream) []string {
	var lines []string
	for range 1 + r.IntN(5) {
		lines = append(lines, fmt.Sprintf("Could you %s the %s and %s the %s before %s %d?",
			pick(r, verbs()), pick(r, nouns()), pick(r, verbs()), pick(r, nouns()),
			pick(r, []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}), 1+r.IntN(28)))
	}
	return lines
}
