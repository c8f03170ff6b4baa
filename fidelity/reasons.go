// This file holds the reasons for what differs.

package main

func reasons() []reason {
	return nil
}
