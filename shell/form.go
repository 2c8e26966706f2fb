package shell

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// A Field is one question of a form. It shows the present value as the default and
// stores the answer where it found it, so NEW and EDIT can share a form.
type Field func(context.Context, Dialogue) error

// Form asks fields in order and stops at the first error.
func (d Dialogue) Form(ctx context.Context, fields ...Field) error {
	for _, f := range fields {
		if err := f(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// Text asks for a string. A nil check accepts all.
func Text(dst *string, question string, check func(string) error) Field {
	return func(ctx context.Context, d Dialogue) error {
		s, err := d.Ask(ctx, question, *dst, check)
		if err == nil {
			*dst = s
		}
		return err
	}
}

// Required is a check that refuses an empty answer.
func Required(answer string) error {
	if answer == "" {
		return refusal.New("A value is required.")
	}
	return nil
}

// Number asks for a number from least to most.
func Number[T ~int | ~int64](dst *T, question string, least, most T) Field {
	return func(ctx context.Context, d Dialogue) error {
		n := *dst
		_, err := d.Ask(ctx, question, fmt.Sprint(int64(n)), func(s string) error {
			v, err := strconv.ParseInt(s, 10, 64)
			if err != nil || v < int64(least) || v > int64(most) {
				return refusal.Newf("The value must be an integer from %d to %d.", least, most)
			}
			n = T(v)
			return nil
		})
		if err == nil {
			*dst = n
		}
		return err
	}
}

// YesNo asks a yes-or-no question.
func YesNo(dst *bool, question string) Field {
	return func(ctx context.Context, d Dialogue) error {
		b, err := d.Confirm(ctx, question, *dst)
		if err == nil {
			*dst = b
		}
		return err
	}
}

// OneOf asks for one value out of a list, which shows them as fmt.Sprint does.
// Where the present value is none of them there is no default.
func OneOf[T comparable](dst *T, question string, values ...T) Field {
	return func(ctx context.Context, d Dialogue) error {
		names := make([]string, len(values))
		for i, v := range values {
			names[i] = fmt.Sprint(v)
		}
		i, err := d.Choose(ctx, question, slices.Index(values, *dst), names...)
		if err == nil {
			*dst = values[i]
		}
		return err
	}
}

// SomeOf asks for one or more values out of a list, with commas between them.
func SomeOf[T comparable](dst *[]T, question string, values ...T) Field {
	return func(ctx context.Context, d Dialogue) error {
		names := make([]string, len(values))
		var def []int
		for i, v := range values {
			names[i] = fmt.Sprint(v)
			if slices.Contains(*dst, v) {
				def = append(def, i)
			}
		}
		picked, err := d.ChooseSeveral(ctx, question, def, names...)
		if err != nil {
			return err
		}
		out := make([]T, len(picked))
		for i, n := range picked {
			out[i] = values[n]
		}
		*dst = out
		return nil
	}
}

// Words asks for a list of words with commas between them; check is asked about
// each. An empty answer keeps the present list.
func WordList(dst *[]string, question string, check func(string) error) Field {
	return func(ctx context.Context, d Dialogue) error {
		var words []string
		_, err := d.Ask(ctx, question, strings.Join(*dst, ", "), func(s string) error {
			words = strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
			for _, w := range words {
				if check == nil {
					break
				}
				if err := check(w); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			*dst = words
		}
		return err
	}
}

// When asks fields only if cond holds by the time they are reached.
func When(cond func() bool, fields ...Field) Field {
	return func(ctx context.Context, d Dialogue) error {
		if !cond() {
			return nil
		}
		return d.Form(ctx, fields...)
	}
}
