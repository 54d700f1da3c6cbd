"""Requests on jobs, their tasks and job schedules, and how jobs end."""
