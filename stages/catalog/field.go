package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Value is a value that a field of a policy can have, as it is declared.
type Value[T ~string] struct {
	Name  T
	Words string // in which people read it
	Off   bool   // it switches something off
}

// InWords is a value as people read it: as it is where it is not declared.
func InWords[T ~string](value T) string {
	for _, known := range declared[reflect.TypeFor[T]()] {
		if known.Name == string(value) {
			return known.Words
		}
	}
	return string(value)
}

const (
	on  = false
	off = true
)

// declaration is all values of a type, whatever the type is.
type declaration struct {
	of     reflect.Type
	values []Value[string]
}

func of[T ~string](list ...Value[T]) declaration {
	d := declaration{of: reflect.TypeFor[T]()}
	for _, v := range list {
		d.values = append(d.values, Value[string]{string(v.Name), v.Words, v.Off})
	}
	return d
}

func values(declarations ...declaration) map[reflect.Type][]Value[string] {
	all := map[reflect.Type][]Value[string]{}
	for _, d := range declarations {
		all[d.of] = d.values
	}
	return all
}

// Decision is what a stage decides about one field of its policies.
type Decision struct {
	Field   string // policy and JSON name: call.transport
	Title   string // for people
	Value   string // as in JSON; empty: not decided
	Words   string // the value for people
	Decided bool
	Known   bool  // a value that is declared, or a quantity
	Off     bool  // the value switches something off
	Owner   Owner // who goes by the field: the guard, where its tag says nothing else

	value any
}

// Is says whether the decision is for that very value, such as [TLS].
func (d Decision) Is(value any) bool { return d.value == value }

// Decisions are all that a stage decides, field by field, in the order of the policies.
func (p Policies) Decisions() []Decision {
	return slices.Concat(decisions("call", p.Call), decisions("api", p.API), decisions("auth", p.Auth),
		decisions("attestation", p.Attestation), decisions("package", p.Package))
}

// Decisions are those of the call policy alone.
func (c Call) Decisions() []Decision { return decisions("call", c) }

func decisions(name string, policy any) []Decision {
	v := reflect.ValueOf(policy)
	all := make([]Decision, v.NumField())
	for i := range all {
		field := v.Type().Field(i)
		d := Decision{
			Field: name + "." + field.Tag.Get("json"), Title: field.Tag.Get("title"),
			Owner: cmp.Or(Owner(field.Tag.Get("owner")), OfGuard), value: v.Field(i).Interface(),
		}
		d.describe(v.Field(i))
		all[i] = d
	}
	return all
}

// quantity is a [Decided].
type quantity interface {
	quantity() (value any, decided bool)
}

func (d *Decision) describe(v reflect.Value) {
	if q, ok := d.value.(quantity); ok {
		value, decided := q.quantity()
		d.Known, d.Decided = true, decided
		if decided {
			d.Value = fmt.Sprint(value)
			d.Words, d.Off = d.Value, reflect.ValueOf(value).IsZero()
			if length, ok := value.(time.Duration); ok {
				d.Words = Lasting(length)
			}
		}
		return
	}
	d.Decided = !v.IsZero()
	if v.Kind() != reflect.String { // a number that can't be 0
		d.Known = true
		if d.Decided {
			d.Value = fmt.Sprint(d.value)
			d.Words = d.Value
		}
		return
	}
	d.Value, d.Words = v.String(), v.String()
	for _, known := range declared[v.Type()] {
		if known.Name == d.Value {
			d.Known, d.Words, d.Off = true, known.Words, known.Off
		}
	}
}

// Decide decides one field anew: its name is as in [Decision].Field, its value as in JSON, such
// as call.transport and http. Names of values are the declared ones; a duration is like 1m30s.
func (p *Policies) Decide(field, value string) error {
	policy, name, _ := strings.Cut(field, ".")
	part, ok := fieldNamed(reflect.ValueOf(p).Elem(), policy)
	if ok {
		part, ok = fieldNamed(part, name)
	}
	if !ok {
		return fmt.Errorf("policies have no field %q: they have %s", field, strings.Join(p.fields(), ", "))
	}
	data := []byte(value)
	if known := declared[part.Type()]; known != nil {
		names := make([]string, len(known))
		for i, v := range known {
			names[i] = v.Name
		}
		if !slices.Contains(names, value) {
			return fmt.Errorf("%s can't be %q: it can be %s", field, value, strings.Join(names, ", "))
		}
	}
	if part.Kind() != reflect.Int {
		data, _ = json.Marshal(value) // a text always can be
	}
	decided := reflect.New(part.Type())
	if err := json.Unmarshal(data, decided.Interface()); err != nil {
		return fmt.Errorf("%s can't be %q: %w", field, value, err)
	}
	part.Set(decided.Elem())
	return nil
}

// fields are the names that [Policies.Decide] knows.
func (p Policies) fields() []string {
	var names []string
	for _, d := range p.Decisions() {
		names = append(names, d.Field)
	}
	return names
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("json") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// Undecided names the fields that are left open: call.transport.
func (p Policies) Undecided() []string { return undecided(p.Decisions()) }

// Undecided names the fields that the policy leaves open: call.transport.
func (c Call) Undecided() []string { return undecided(c.Decisions()) }

func undecided(all []Decision) []string {
	var names []string
	for _, d := range all {
		if !d.Decided {
			names = append(names, d.Field)
		}
	}
	return names
}

// Unknown are the fields whose values are declared nowhere, each with its value:
// `call.transport "carrier-pigeon"`.
func (p Policies) Unknown() []string { return unknown(p.Decisions()) }

// Unknown are the fields whose values are declared nowhere, each with its value.
func (c Call) Unknown() []string { return unknown(c.Decisions()) }

func unknown(all []Decision) []string {
	var names []string
	for _, d := range all {
		if d.Decided && !d.Known {
			names = append(names, fmt.Sprintf("%s %q", d.Field, d.Value))
		}
	}
	return names
}

// Difference is a field about which two stages decide differently.
type Difference struct {
	From, To Decision // of the same field
}

// Diff lists the fields about which to decides differently, in the order of
// [Policies.Decisions].
func (p Policies) Diff(to Policies) []Difference {
	var differences []Difference
	a, b := p.Decisions(), to.Decisions()
	for i := range a {
		if a[i].value != b[i].value {
			differences = append(differences, Difference{a[i], b[i]})
		}
	}
	return differences
}

func (d Decided[T]) quantity() (value any, decided bool) { return d.value, d.decided }

// MarshalJSON writes a duration as in "1m30s", other quantities as they are, and what is
// not decided as null.
func (d Decided[T]) MarshalJSON() ([]byte, error) {
	if !d.decided {
		return []byte("null"), nil
	}
	if length, ok := any(d.value).(time.Duration); ok {
		return json.Marshal(length.String())
	}
	return json.Marshal(d.value)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Decided[T]) UnmarshalJSON(data []byte) error {
	*d = Decided[T]{}
	if string(data) == "null" {
		return nil
	}
	var value T
	if length, ok := any(&value).(*time.Duration); ok {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		parsed, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		*length = parsed
	} else if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	*d = Decide(value)
	return nil
}
