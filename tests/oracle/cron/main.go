// Command oracle reads schedules and moments, one JSON object a line, and says when robfig/cron comes up next.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

type question struct {
	Schedule string  `json:"schedule"`
	After    []int64 `json:"after"`
}

type answer struct {
	Valid bool    `json:"valid"`
	Next  []int64 `json:"next"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		text, err := json.Marshal(next(asked))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(out, string(text))
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

// next has microseconds of the epoch in and out; 0 stands for never.
func next(asked question) answer {
	schedule, err := cron.ParseStandard(asked.Schedule)
	if err != nil {
		return answer{}
	}
	found := answer{Valid: true}
	for _, after := range asked.After {
		moment := schedule.Next(time.UnixMicro(after).UTC())
		if moment.IsZero() {
			found.Next = append(found.Next, 0)
		} else {
			found.Next = append(found.Next, moment.UnixMicro())
		}
	}
	return found
}
