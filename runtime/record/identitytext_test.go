package record

import "testing"

func TestTextIdentity(t *testing.T) {
	key, other := []byte("the key of this run"), []byte("the key of another")
	id := Identity{Run: 1 << 60, Producer: 3, Member: 2, Seq: 123456789}
	text := TextID(id, key)
	if got, ok := ParseTextID(text, key); !ok || got != id {
		t.Errorf("ParseTextID: got %v, %v, want %v", got, ok, id)
	}
	if got, ok := ParseTextID(text, other); ok {
		t.Errorf("ParseTextID with another key: got %v, want none", got)
	}
	// Nobody without the key makes the next one.
	forged := TextID(Identity{Run: id.Run, Producer: id.Producer, Member: id.Member, Seq: id.Seq + 1}, other)
	if _, ok := ParseTextID(forged, key); ok {
		t.Error("ParseTextID of a forged one: got an identity, want none")
	}
	for _, bad := range []string{"", "x", text[1:], text + "x", "!" + text[1:]} {
		if _, ok := ParseTextID(bad, key); ok {
			t.Errorf("ParseTextID(%q): got an identity, want none", bad)
		}
	}
}

func TestTextValue(t *testing.T) {
	id := Identity{Run: 7, Producer: 1, Member: 1, Seq: 42}
	text := TextID(id, []byte("key"))
	for _, size := range []int{0, 58, 59, 100, 1000} {
		value := TextValue(text, size)
		if want := max(size, len(textPrefix)+len(text)); len(value) != want {
			t.Errorf("size %d: got %d bytes, want %d", size, len(value), want)
		}
		if got, ok := Decode([]byte(value)); !ok || got != id {
			t.Errorf("size %d: Decode: got %v, %v, want %v", size, got, ok, id)
		}
		if got, ok := TextIDOf(value); !ok || got != text {
			t.Errorf("size %d: TextIDOf: got %q, %v, want %q", size, got, ok, text)
		}
	}
	for _, bad := range []string{"sf1.", "sf1.short", "sf2." + text, TextValue(text, 100)[1:]} {
		if got, ok := Decode([]byte(bad)); ok {
			t.Errorf("Decode(%q): got %v, want none", bad, got)
		}
	}
}
