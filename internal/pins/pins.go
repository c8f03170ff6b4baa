package pins
import (
 _ "go.starlark.net/starlark"
 _ "github.com/IBM/sarama"
 _ "github.com/docker/docker/client"
 _ "github.com/olekukonko/tablewriter"
 _ "github.com/twmb/franz-go/pkg/kmsg"
 _ "github.com/spf13/cobra"
 _ "github.com/RoaringBitmap/roaring/v2"
 _ "github.com/HdrHistogram/hdrhistogram-go"
 _ "github.com/klauspost/compress/zstd"
 _ "github.com/rogpeppe/go-internal/testscript"
 _ "github.com/bazelbuild/buildtools/build"
 _ "golang.org/x/sync/errgroup"
 _ "golang.org/x/term"
)
