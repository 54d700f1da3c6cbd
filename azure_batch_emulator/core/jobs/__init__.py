"""Jobs and job schedules."""
