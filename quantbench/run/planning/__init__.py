"""What a study will take: said before anything is fetched or built."""
