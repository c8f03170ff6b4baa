package core

// This file tests that what the brokers list in ApiVersions is part of what Kafka lists.

import (
	"slices"
	"testing"
)

// kafkas is what a broker of Kafka 3.9.1 lists with default settings.
func kafkas() []APIVersion {
	return []APIVersion{
		{0, 0, 11}, {1, 0, 17}, {2, 0, 9}, {3, 0, 12}, {8, 0, 9}, {9, 0, 9}, {10, 0, 6}, {11, 0, 9}, {12, 0, 4}, {13, 0, 5},
		{14, 0, 5}, {15, 0, 5}, {16, 0, 5}, {17, 0, 1}, {18, 0, 4}, {19, 0, 7}, {20, 0, 6}, {21, 0, 2}, {22, 0, 5}, {23, 0, 4},
		{24, 0, 5}, {25, 0, 4}, {26, 0, 4}, {27, 0, 1}, {28, 0, 4}, {29, 0, 3}, {30, 0, 3}, {31, 0, 3}, {32, 0, 4}, {33, 0, 2},
		{34, 0, 2}, {35, 0, 4}, {36, 0, 2}, {37, 0, 3}, {38, 0, 3}, {39, 0, 2}, {40, 0, 2}, {41, 0, 3}, {42, 0, 2}, {43, 0, 2},
		{44, 0, 1}, {45, 0, 0}, {46, 0, 0}, {47, 0, 0}, {48, 0, 1}, {49, 0, 1}, {50, 0, 0}, {51, 0, 0}, {55, 0, 2}, {57, 0, 1},
		{60, 0, 1}, {61, 0, 0}, {64, 0, 0}, {65, 0, 0}, {66, 0, 1}, {68, 0, 0}, {69, 0, 0}, {74, 0, 0}, {75, 0, 0}, {80, 0, 0},
		{81, 0, 0},
	}
}

func TestVersionsAreAmongKafkas(t *testing.T) {
	kafkas := kafkas()
	for _, v := range apiVersions() {
		i := slices.IndexFunc(kafkas, func(k APIVersion) bool { return k.Key == v.Key })
		if i < 0 || v.Min < kafkas[i].Min || v.Max > kafkas[i].Max {
			t.Errorf("key %d: got versions %d to %d, which Kafka does not list", v.Key, v.Min, v.Max)
		}
	}
	// docs/embedded.md names these.
	var lacking, newest, oldest []int16
	for _, k := range kafkas {
		lowest, highest, ok := Supported(k.Key)
		switch {
		case !ok:
			lacking = append(lacking, k.Key)
			continue
		case highest < k.Max:
			newest = append(newest, k.Key)
		}
		if lowest > k.Min {
			oldest = append(oldest, k.Key)
		}
	}
	if want := []int16{38, 39, 40, 41, 49, 57, 64, 68, 69, 74, 80, 81}; !slices.Equal(lacking, want) {
		t.Errorf("got %v that are lacking, want %v", lacking, want)
	}
	if want := []int16{10, 55}; !slices.Equal(newest, want) {
		t.Errorf("got %v without Kafka's newest version, want %v", newest, want)
	}
	if want := []int16{1, 2, 8, 9, 19, 20, 23, 32}; !slices.Equal(oldest, want) {
		t.Errorf("got %v without Kafka's oldest version, want %v", oldest, want)
	}
}
