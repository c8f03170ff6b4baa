package main

import (
	"strings"
	"testing"
)

func TestMatrix(t *testing.T) {
	for _, tt := range []struct {
		sweeps []string
		repeat int
		want   string // labels, separated by ;
		err    string
	}{
		{nil, 1, "", ""},
		{nil, 3, "#1; #2; #3", ""},
		{[]string{"acks=1,all"}, 1, "acks=1; acks=all", ""},
		{[]string{"acks=1,all", "n=1,2"}, 1, "acks=1 n=1; acks=1 n=2; acks=all n=1; acks=all n=2", ""},
		{[]string{"acks=1,all"}, 2, "acks=1 #1; acks=1 #2; acks=all #1; acks=all #2", ""},
		{[]string{`l=[1,2],"a,b"`}, 1, `l=[1,2]; l="a,b"`, ""},
		{[]string{"acks"}, 1, "", `--sweep: got "acks", want name=a,b`},
		{[]string{"acks=1,"}, 1, "", `--sweep: got "acks=1," with an empty value, want name=a,b`},
		{[]string{"acks=1,1"}, 1, "", "--sweep: acks has the value 1 twice"},
		{[]string{"acks=1", "acks=2"}, 1, "", "--sweep: acks is given twice"},
		{[]string{"rate=1"}, 1, "", "--sweep: rate is given by --set too"},
		{[]string{"acks=1,all"}, 900, "", "the sweep has more than 1000 cells"},
	} {
		axes, err := parseSweeps(tt.sweeps, map[string]string{"rate": "5"})
		var cells []cell
		if err == nil {
			cells, err = matrix(axes, tt.repeat)
		}
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%v: got error %v, want %s", tt.sweeps, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", tt.sweeps, err)
			continue
		}
		var labels []string
		for _, c := range cells {
			labels = append(labels, c.label())
		}
		if got := strings.Join(labels, "; "); got != tt.want {
			t.Errorf("%v × %d: got %s, want %s", tt.sweeps, tt.repeat, got, tt.want)
		}
	}
}

func TestCellFolders(t *testing.T) {
	c := cell{names: []string{"config"}, values: []string{"a/b:c"}, repeat: 2}
	if got, want := c.dir(4, 12), "05-config=a_b_c-2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
