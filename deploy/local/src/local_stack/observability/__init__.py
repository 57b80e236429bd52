"""What an operator is shown and told: objectives, alerts and dashboards, declared here and written into `deploy/`."""
