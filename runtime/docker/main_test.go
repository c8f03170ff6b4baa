package docker

import (
	"testing"

	"starfall/internal/turn"
)

func TestMain(m *testing.M) { turn.Taking(m).Run() }
