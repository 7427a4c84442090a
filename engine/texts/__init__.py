"""What texts mean and how they sound: sentence encoders, phones, and distances of both."""
