package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// encoded is the JSON form of an event.
type encoded struct {
	Seq    uint64          `json:"seq"`
	Time   time.Time       `json:"time"` // by the appliance's clock
	Kind   string          `json:"kind"`
	Cause  uint64          `json:"cause,omitzero"`
	Fields json.RawMessage `json:"fields"`
}

// MarshalJSON returns an object with seq, time, kind, cause and fields. Keys of fields are in lower
// case with underscores: a field MessageID is called message_id.
func (e Event) MarshalJSON() ([]byte, error) {
	var fields bytes.Buffer
	if err := encode(&fields, reflect.ValueOf(e.Fields)); err != nil {
		return nil, err
	}
	return json.Marshal(encoded{e.Seq, e.Wall, e.Fields.Kind(), e.Cause, fields.Bytes()})
}

// encode writes a value as encoding/json does, except for the keys of structs without tags, and
// errors, which are texts.
func encode(b *bytes.Buffer, v reflect.Value) error {
	if v.IsValid() {
		_, own := v.Interface().(json.Marshaler)
		_, text := v.Interface().(interface{ MarshalText() ([]byte, error) })
		if err, ok := v.Interface().(error); ok && !own && !text {
			return encodeAny(b, err.Error())
		}
		switch {
		case own || text:
		case v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer:
			if !v.IsNil() {
				return encode(b, v.Elem())
			}
		case v.Kind() == reflect.Struct:
			return encodeStruct(b, v)
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
			return encodeList(b, v)
		}
		return encodeAny(b, v.Interface())
	}
	return encodeAny(b, nil)
}

func encodeAny(b *bytes.Buffer, x any) error {
	text, err := json.Marshal(x)
	b.Write(text)
	return err
}

func encodeList(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encode(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func encodeStruct(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('{')
	first := true
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || strings.Contains(options, "omit") && v.Field(i).IsZero():
			continue
		case name == "":
			name = keyOf(f.Name)
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(`"` + name + `":`)
		if err := encode(b, v.Field(i)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// keyOf returns the key of a field: "message_id" of MessageID.
func keyOf(name string) string {
	var out strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}
