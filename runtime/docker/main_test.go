package docker

import (
	"os"
	"testing"

	"starfall/internal/turn"
)

func TestMain(m *testing.M) { os.Exit(turn.Taking(m).Run()) }
